"""Foley-Flow: what is masked, the control, the dynamic and the static condition, sampling, weights folder."""

from dataclasses import replace

import pytest
import torch
from family_folders import n_parameters, save_family

from foleycli.errors import FoleyError
from foleycli.families import load_family
from foleycli.families.foleyflow.alignment import (
    Alignment,
    VideoAutoencoder,
    columns_of,
    draw_mask,
    recovery_error,
    shuffled,
)
from foleycli.families.foleyflow.config import SIZES, FoleyFlowConfig
from foleycli.families.foleyflow.family import FoleyFlowFamily
from foleycli.families.foleyflow.network import FoleyFlow
from foleycli.families.foleyflow.objective import ObjectiveConfig, training_loss
from foleycli.families.inputs import Inputs
from foleycli.records import Features, Stream
from foleycli.settings.settings import Settings

L, T = 40, 24
TINY = replace(
    SIZES["mini"], width=32, n_heads=2, n_blocks=2, condition_width=16, modulation_rank=0, sync_dim=6, semantic_dim=10,
    text_dim=8, video_width=16, video_heads=2, video_layers=1, audio_width=16, audio_heads=2, audio_layers=1,
    decoder_layers=1,
)  # fmt: skip
STATIC = replace(TINY, condition="static")


def awake(config: FoleyFlowConfig = TINY) -> FoleyFlow:
    """A network as after some training: a new one has zero gates and answers zero."""
    torch.manual_seed(0)
    network = FoleyFlow(config)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "modulation.project" in name or "final.out" in name:
                weight.add_(0.1 * torch.randn_like(weight))
    return network


def some_inputs(n_rows: int = 2, seed: int = 1) -> Inputs:
    rng = torch.Generator().manual_seed(seed)
    yes = torch.ones(n_rows, dtype=torch.bool)
    return Inputs(
        torch.randn(n_rows, T, TINY.sync_dim, generator=rng),
        torch.randn(n_rows, 2, TINY.semantic_dim, generator=rng),
        torch.randn(n_rows, TINY.text_dim, generator=rng),
        *(yes, yes, yes),
    )


def some_features(seed: int = 0) -> Features:
    inputs = some_inputs(1, seed)
    streams = {
        "sync": Stream(inputs.sync[0], TINY.sync_rate_hz),
        "semantic": Stream(inputs.semantic[0], TINY.semantic_rate_hz),
    }
    return Features(streams, inputs.text[0])


def sample(family: FoleyFlowFamily, windows: list[Features], seeds: list[int], is_known=None, **settings):
    known = torch.randn(len(windows), L, 64, generator=torch.Generator().manual_seed(9))
    is_known = torch.zeros(len(windows), L, dtype=torch.bool) if is_known is None else is_known
    rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
    return family.sample(windows, known, is_known, Settings(**{"steps": 3, **settings}), rngs), known


def some_pairs(n_rows: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents [B, L, 64] and frames [B, T, sync_dim]."""
    rng = torch.Generator().manual_seed(3)
    return torch.randn(n_rows, L, 64, generator=rng), torch.randn(n_rows, T, TINY.sync_dim, generator=rng)


# -- sizes


@pytest.mark.parametrize(("name", "low", "high"), [("mini", 4e6, 5e6), ("large", 450e6, 520e6)])
def test_sizes_have_their_parameter_counts(name, low, high):
    assert low < n_parameters("foley-flow", SIZES[name]) < high
    assert FoleyFlowConfig.from_dict(SIZES[name].to_dict()) == SIZES[name]


def test_both_stages_of_the_large_size_run_on_the_meta_device():
    config, yes = SIZES["large"], torch.ones(2, dtype=torch.bool, device="meta")
    with torch.device("meta"):
        network, alignment = FoleyFlow(config), Alignment(config)
        frames, latents = torch.empty(2, 250, 768), torch.empty(2, 431, 64)
        inputs = Inputs(frames, torch.empty(2, 80, 1152), torch.empty(2, 1152), *(yes, yes, yes))
        conditions = network.encode_conditions(inputs, 431)
        made = network(latents, torch.empty(2), conditions, torch.zeros(2, 431).bool())
        columns = columns_of(latents, config.column_steps)
        recovered = alignment(columns, frames, torch.zeros(2, 107).bool())
    assert made.shape == (2, 431, 64)
    assert recovered.shape == (2, 107, 768)


def test_unknown_condition_is_refused():
    with pytest.raises(FoleyError, match="wobbly"):
        replace(TINY, condition="wobbly")


# -- stage 1


def test_every_row_masks_its_share_of_whole_columns():
    mask = draw_mask(64, 43, 0.8, torch.Generator().manual_seed(0))
    assert (mask.sum(dim=1) == 34).all()
    assert len({tuple(row.tolist()) for row in mask}) > 60  # each row its own
    assert abs(mask.float().mean(dim=0) - 0.8).max() < 0.2  # any column
    for ratio, n in ((0.0, 1), (1.0, 43)):
        assert (draw_mask(5, 43, ratio, torch.Generator()).sum(dim=1) == n).all()


def test_a_masked_column_hides_all_of_its_latents_and_shows_no_other():
    torch.manual_seed(0)
    network, (latents, frames) = Alignment(TINY).eval(), some_pairs()
    is_masked = torch.zeros(4, L // 5, dtype=torch.bool)
    is_masked[:, 3] = True

    def recovered(changed: slice) -> torch.Tensor:
        other = latents.clone()
        other[:, changed] += 1.0
        with torch.no_grad():
            return network(columns_of(other, 5), frames, is_masked)

    base = recovered(slice(0, 0))
    assert torch.equal(base, recovered(slice(15, 20)))  # all five steps of column 3
    assert not torch.allclose(base, recovered(slice(14, 15)), atol=1e-4)
    assert not torch.allclose(base, recovered(slice(20, 21)), atol=1e-4)


def test_knowing_nothing_costs_one_and_only_what_is_masked_counts():
    target = 5.0 + 3.0 * torch.randn(8, 30, 16)
    is_masked = draw_mask(8, 30, 0.5, torch.Generator().manual_seed(0))
    assert abs(recovery_error(torch.zeros_like(target), target, is_masked) - 1) < 0.05
    right = (target - target.mean(dim=(0, 1))) / target.std(dim=(0, 1))
    wrong_elsewhere = torch.where(is_masked[..., None], right, 100.0)
    assert recovery_error(wrong_elsewhere, target, is_masked) < 1e-6


def test_control_gives_every_row_the_video_of_another():
    rows = torch.arange(7)
    assert (shuffled(rows) != rows).all() and shuffled(rows).sort().values.equal(rows)
    network, (latents, frames) = Alignment(TINY).eval(), some_pairs()
    asked = []
    network.error = lambda latents, frames, mask: asked.append((frames, mask)) or torch.zeros(())
    figures = network.controls(latents, frames, 0.8, torch.Generator().manual_seed(0))
    assert list(figures) == ["align", "align_shuffled", "align_no_audio", "align_no_audio_shuffled"]
    for (own, mask), (others, same_mask) in (asked[:2], asked[2:]):
        assert torch.equal(own, frames) and torch.equal(mask, same_mask)
        assert not any(torch.equal(mine, theirs) for mine, theirs in zip(frames, others, strict=True))
    assert asked[0][1].float().mean() == 0.75 and asked[2][1].all()  # 6 of 8 columns, and all


def test_alignment_learns_timing_from_the_picture_alone():
    """Of audio that is all masked, right videos tell what shuffled ones do not."""
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    events = torch.rand(16, 8, generator=rng) < 0.3  # [B, C]
    latents = torch.randn(16, L, 64, generator=rng) * 0.1 + 2.0 * events.repeat_interleave(5, 1)[..., None]
    frames = 2.0 * events.repeat_interleave(3, 1)[..., None].float().expand(-1, -1, TINY.sync_dim)
    network = Alignment(TINY)
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    optimiser = torch.optim.AdamW(trained, lr=1e-2)
    for _ in range(120):
        optimiser.zero_grad()
        network.loss(latents, frames, 0.8, 0.5, rng).backward()
        optimiser.step()
    moved = {name for name, weight in network.named_parameters() if not torch.equal(weight, before[name])}
    assert not any(name.startswith("audio.") for name in moved)  # the audio encoder stands
    assert any(name.startswith("video.") for name in moved)
    with torch.no_grad():
        figures = network.controls(latents, frames, 0.8, rng)
    assert figures["align_no_audio"] < 0.7 * figures["align_no_audio_shuffled"]


def test_video_is_masked_in_spans():
    network, asked = VideoAutoencoder(TINY), []
    network.forward = lambda x, is_masked: asked.append(is_masked) or torch.zeros_like(x)
    network.loss(torch.randn(3, 23, TINY.sync_dim), 0.6, 5, torch.Generator().manual_seed(0))
    spans = torch.nn.functional.pad(asked[0], (0, 2), value=True).unflatten(1, (5, 5))  # the last span has three frames
    assert asked[0].shape == (3, 23)
    assert (spans[:, :4].all(-1) | ~spans[:, :4].any(-1)).all()


# -- stage 2


def local(network: FoleyFlow, inputs: Inputs, n_steps: int = L) -> torch.Tensor:
    with torch.no_grad():
        return network.encode_conditions(inputs, n_steps).video


def test_dynamic_condition_reaches_the_steps_of_its_moment():
    network, inputs = awake(replace(TINY, video_layers=0)), some_inputs(1)
    frames = inputs.sync.clone()
    frames[0, 12] += 5.0  # shows 0.48 s
    change = (local(network, replace(inputs, sync=frames)) - local(network, inputs)).abs().sum(-1)[0]
    middles_s = (torch.arange(L) + 0.5) / float(TINY.latent_rate_hz)
    assert abs((change * middles_s).sum() / change.sum() - 0.48) < 0.03
    assert change[(middles_s - 0.48).abs() > 0.12].max() < 1e-5


def test_static_condition_is_the_mean_of_the_dynamic_one():
    dynamic, static, inputs = awake(), awake(STATIC), some_inputs()
    static.load_state_dict(dynamic.state_dict())
    assert local(static, inputs).shape == (2, 1, 32)
    assert torch.allclose(local(static, inputs)[:, 0], local(dynamic, inputs).mean(dim=1), atol=1e-6)


def test_a_window_between_two_frames_sees_them_when_they_show():
    network, inputs = awake(), some_inputs()
    late = replace(inputs, late_frames=torch.tensor([0.0, 0.5]))
    base, moved = local(network, inputs), local(network, late)
    assert torch.equal(base[0], moved[0]) and not torch.allclose(base[1], moved[1], atol=1e-3)


def test_a_picture_that_is_missing_is_not_read():
    network, inputs = awake(), replace(some_inputs(), has_sync=torch.tensor([True, False]))
    other = replace(inputs, sync=inputs.sync + 1.0)
    base, changed = local(network, inputs), local(network, other)
    assert torch.equal(base[1], changed[1]) and not torch.allclose(base[0], changed[0], atol=1e-3)


class Recording(torch.nn.Module):
    """Says what it was asked; its velocity is 0."""

    config = TINY

    def encode_conditions(self, inputs, n_steps):
        return None

    def forward(self, x, t, conditions, is_known):
        self.asked = x, t, is_known
        return torch.zeros_like(x)


def test_loss_is_of_the_straight_line_at_noised_steps():
    config = ObjectiveConfig(p_span=1.0, p_prefix=0.0, p_both_ends=0.0, p_context=0.0)
    field, latents = Recording(), torch.randn(6, L, 64)
    n_reference = torch.tensor([0, 0, 0, 7, 0, 0])
    loss = training_loss(field, latents, some_inputs(6), torch.Generator().manual_seed(3), config, n_reference)
    x, t, is_known = field.asked
    assert torch.equal((x == latents).all(dim=-1), is_known)  # clean there, noised elsewhere
    assert is_known.any(dim=1).all() and not is_known.all(dim=1).any()
    assert is_known[3].nonzero().flatten().tolist() == list(range(7))
    noise = (x - t[:, None, None] * latents) / (1 - t)[:, None, None]
    assert torch.allclose(loss, (latents - noise).square().mean(dim=-1)[~is_known].mean(), rtol=1e-3)


@pytest.mark.parametrize("config", [TINY, STATIC], ids=["dynamic", "static"])
def test_objective_goes_down_on_one_batch(config):
    torch.manual_seed(0)
    network, rng, losses = FoleyFlow(config), torch.Generator().manual_seed(0), []
    latents = torch.randn(8, 1, 64).expand(8, L, 64)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(30):
        loss = training_loss(network, latents, some_inputs(8), rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] > 1.8  # a new network answers zero: the variance of data minus noise
    assert sum(losses[-5:]) / 5 < 0.8 * losses[0]


# -- family


def test_same_seed_same_latents_other_seed_others():
    family = FoleyFlowFamily(awake())
    first, _ = sample(family, [some_features()], [7])
    assert torch.equal(first, sample(family, [some_features()], [7])[0])
    assert not torch.allclose(first, sample(family, [some_features()], [8])[0], atol=0.1)


@pytest.mark.parametrize("config", [TINY, STATIC], ids=["dynamic", "static"])
def test_batch_of_two_equals_two_singles(config):
    family, windows = FoleyFlowFamily(awake(config)), [some_features(1), some_features(2)]
    both, _ = sample(family, windows, [1, 2])
    for k in range(2):
        single, _ = sample(family, windows[k : k + 1], [k + 1])
        assert torch.allclose(both[k], single[0], atol=1e-4)


@pytest.mark.parametrize("steps", [1, 7, 25])
def test_known_latents_come_back_bit_for_bit(steps):
    is_known = torch.zeros(2, L, dtype=torch.bool)
    is_known[0, :9], is_known[0, 20:24], is_known[1, 31:] = True, True, True
    made, known = sample(FoleyFlowFamily(awake()), [some_features()] * 2, [1, 2], is_known, steps=steps)
    assert made.dtype == torch.float32 and made.isfinite().all()
    assert torch.equal(made[is_known], known[is_known])
    assert not torch.isclose(made[~is_known], known[~is_known]).all(dim=-1).any()


def test_conditions_and_guidance_change_the_sound():
    family, window = FoleyFlowFamily(awake()), some_features()
    base, _ = sample(family, [window], [0])
    changes = {
        "prompt": (replace(window, text=-window.text), {}),
        "negative": (replace(window, negative_text=torch.randn(TINY.text_dim)), {}),
        "no sync": (replace(window, streams={"semantic": window.streams["semantic"]}), {}),
        "no semantics": (replace(window, streams={"sync": window.streams["sync"]}), {}),
        "guidance": (window, {"guidance": 2.0}),
        "words": (window, {"words_guidance": 3.0}),
    }
    for other, settings in changes.values():
        assert not torch.allclose(base, sample(family, [other], [0], **settings)[0], atol=1e-4)


def test_save_then_load_gives_the_same_latents(tmp_path):
    family = FoleyFlowFamily(awake(STATIC))
    save_family(family, tmp_path, torch.float32)
    loaded = load_family(tmp_path, "cpu", torch.float32)
    assert loaded.spec == family.spec and loaded.network.config == STATIC
    first, _ = sample(family, [some_features()], [3])
    assert torch.equal(first, sample(loaded, [some_features()], [3])[0])
    rough, _ = sample(load_family(tmp_path, "cpu", torch.bfloat16), [some_features()], [3])
    assert rough.dtype == torch.float32 and rough.isfinite().all()

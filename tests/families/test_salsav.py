"""SALSA-V: sizes, conditions, objective, sampling, weights folder."""

import json
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from family_folders import n_parameters, save_family

from foleycli.errors import FoleyError
from foleycli.families import load_family
from foleycli.families.inputs import Inputs, drop_conditions
from foleycli.families.salsav.config import SIZES, SalsaVConfig
from foleycli.families.salsav.family import SalsaVFamily
from foleycli.families.salsav.network import SalsaV
from foleycli.families.salsav.objective import (
    ObjectiveConfig,
    SalsaVBatch,
    draw_known,
    draw_times,
    shortcut_target,
    training_loss,
)
from foleycli.records import Features, Stream
from foleycli.settings.settings import Settings

L = 40
TINY = replace(
    SIZES["mini"], width=32, n_heads=2, n_single=1, sync_dim=6, semantic_dim=10, text_dim=8, modulation_rank=0
)


def awake(config: SalsaVConfig = TINY, seed: int = 0) -> SalsaV:
    """A network as after some training: a new one has zero gates and answers zero."""
    torch.manual_seed(seed)
    network = SalsaV(config)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "modulation.project" in name or "final.out" in name:
                weight.add_(0.1 * torch.randn_like(weight))
    return network


def some_inputs(config: SalsaVConfig = TINY, n_rows: int = 2, seed: int = 1) -> Inputs:
    rng = torch.Generator().manual_seed(seed)
    yes = torch.ones(n_rows, dtype=torch.bool)
    return Inputs(
        torch.randn(n_rows, 24, config.sync_dim, generator=rng),
        torch.randn(n_rows, 2, config.semantic_dim, generator=rng),
        torch.randn(n_rows, config.text_dim, generator=rng),
        *(yes, yes, yes),
    )


def some_features(config: SalsaVConfig = TINY, seed: int = 0, **changes) -> Features:
    rng = torch.Generator().manual_seed(seed)
    streams = {
        "sync": Stream(torch.randn(24, config.sync_dim, generator=rng), config.sync_rate_hz),
        "semantic": Stream(torch.randn(2, config.semantic_dim, generator=rng), config.semantic_rate_hz),
    }
    return replace(Features(streams, torch.randn(config.text_dim, generator=rng)), **changes)


def velocity(network: SalsaV, inputs: Inputs, is_known=None, t=0.3, d=0.25) -> torch.Tensor:
    n_rows = len(inputs.text)
    x = torch.randn(n_rows, L, 64, generator=torch.Generator().manual_seed(5))
    is_known = torch.zeros(n_rows, L, dtype=torch.bool) if is_known is None else is_known
    with torch.no_grad():
        conditions = network.encode_conditions(inputs, L)
        return network(x, torch.full((n_rows,), t), torch.full((n_rows,), d), conditions, is_known)


def sample(family: SalsaVFamily, windows: list[Features], seeds: list[int], is_known=None, **settings):
    known = torch.randn(len(windows), L, 64, generator=torch.Generator().manual_seed(9))
    is_known = torch.zeros(len(windows), L, dtype=torch.bool) if is_known is None else is_known
    rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
    return family.sample(windows, known, is_known, Settings(**settings), rngs), known


# -- sizes


@pytest.mark.parametrize(
    ("name", "low", "high"), [("mini", 4e6, 7e6), ("small", 335e6, 359e6), ("large", 623e6, 663e6)]
)
def test_sizes_have_their_parameter_counts(name, low, high):
    assert low < n_parameters("salsa-v", SIZES[name]) < high


@pytest.mark.parametrize("name", ["small", "large"])
def test_big_sizes_run_on_the_meta_device(name):
    config = SIZES[name]
    with torch.device("meta"):
        network = SalsaV(config)
        yes = torch.ones(2, dtype=torch.bool)
        inputs = Inputs(torch.empty(2, 250, 768), torch.empty(2, 80, 1152), torch.empty(2, 1152), *(yes, yes, yes))
        conditions = network.encode_conditions(inputs, 431)
        made = network(torch.empty(2, 431, 64), torch.empty(2), torch.empty(2), conditions, torch.zeros(2, 431).bool())
    assert made.shape == (2, 431, 64)
    assert len(network.joint) == config.n_joint and len(network.single) == config.n_single
    assert [block.self_attention is not None for block in network.joint] == [
        index < config.n_x for index in range(config.n_joint)
    ]


@pytest.mark.parametrize("mlp", ["gelu", "swiglu"])
def test_small_reduced_in_width_takes_a_training_step(mlp):
    config = replace(SIZES["small"], width=64, n_heads=2, mlp=mlp)
    network, teacher = awake(config), awake(config)
    batch = SalsaVBatch(torch.randn(4, L, 64), some_inputs(config, n_rows=4))
    loss, metrics = training_loss(network, teacher, batch, torch.Generator().manual_seed(0))
    loss.backward()
    assert loss.isfinite() and set(metrics) == {"loss", "flow", "shortcut"}
    without = [name for name, weight in network.named_parameters() if weight.grad is None and "empty" not in name]
    assert without == []
    assert all(weight.grad is None for weight in teacher.parameters())


# -- configuration


def test_configuration_survives_json():
    for config in SIZES.values():
        assert SalsaVConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert SIZES["mini"].to_dict()["latent_rate_hz"] == "11025/256"


def test_foreign_and_missing_keys_are_errors():
    values = TINY.to_dict()
    with pytest.raises(FoleyError, match="n_layers"):
        SalsaVConfig.from_dict(values | {"n_layers": 3})
    with pytest.raises(FoleyError, match="relu"):
        SalsaVConfig.from_dict(values | {"mlp": "relu"})
    del values["width"]
    with pytest.raises(FoleyError, match="width"):
        SalsaVConfig.from_dict(values)


# -- network


def test_missing_condition_is_the_learned_empty_vector():
    network, inputs = awake(), some_inputs()
    no = torch.zeros(2, dtype=torch.bool)
    for name, empty in (
        ("sync", network.empty_sync),
        ("semantic", network.empty_semantic),
        ("text", network.empty_text),
    ):
        dropped = velocity(network, replace(inputs, **{f"has_{name}": no}))
        written = velocity(network, replace(inputs, **{name: empty.detach().expand_as(getattr(inputs, name))}))
        assert torch.equal(dropped, written)
        assert not torch.allclose(dropped, velocity(network, inputs), atol=1e-4)


def test_known_steps_are_marked_for_the_network():
    network, inputs = awake(), some_inputs()
    marked = torch.zeros(2, L, dtype=torch.bool)
    marked[:, :8] = True
    change = (velocity(network, inputs, marked) - velocity(network, inputs)).abs()
    assert change[:, :8].mean() > 1e-4
    assert change[:, 8:].mean() > 1e-5  # and the others hear of it through attention


def test_time_and_step_size_change_the_velocity():
    network, inputs = awake(), some_inputs()
    base = velocity(network, inputs)
    assert not torch.allclose(base, velocity(network, inputs, t=0.6), atol=1e-4)
    assert not torch.allclose(base, velocity(network, inputs, d=0.5), atol=1e-4)


def test_sync_features_reach_the_latent_steps_of_their_moment():
    upsampler = awake().sync_in
    frames = torch.zeros(1, 125, TINY.sync_dim)
    frames[0, 50] = 5.0  # shows 2.0 s
    with torch.no_grad():
        change = (upsampler(frames, 215) - upsampler(torch.zeros_like(frames), 215)).abs().sum(-1)[0]
    middles_s = (torch.arange(215) + 0.5) / float(TINY.latent_rate_hz)
    assert abs((change * middles_s).sum() / change.sum() - 2.0) < 0.02
    assert change[(middles_s - 2.0).abs() > 0.12].max() < 1e-6


def test_number_of_semantic_steps_is_free():
    network, inputs = awake(), some_inputs()
    for n_semantic in (1, 7):
        semantic = torch.randn(2, n_semantic, TINY.semantic_dim)
        assert velocity(network, replace(inputs, semantic=semantic)).isfinite().all()


# -- objective


def test_objective_goes_down_on_one_batch():
    network = SalsaV(replace(TINY, width=64))
    teacher = SalsaV(network.config)
    batch = SalsaVBatch(torch.randn(8, 1, 64).expand(8, L, 64), some_inputs(n_rows=8))
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    rng, losses = torch.Generator().manual_seed(0), []
    for _ in range(40):
        teacher.load_state_dict(network.state_dict())
        loss, metrics = training_loss(network, teacher, batch, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(metrics["flow"].item())
    assert losses[0] > 1.8  # a new network answers zero: the variance of data minus noise
    assert sum(losses[-10:]) / 10 < 0.7 * losses[0]


class ConstantField(torch.nn.Module):
    """The same velocity everywhere: any one step equals its two halves."""

    config = TINY

    def encode_conditions(self, inputs, n_steps):
        return None

    def forward(self, x, t, d, conditions, is_known):
        return torch.full_like(x, 0.7)


def test_shortcut_loss_of_a_constant_field_is_zero():
    field = ConstantField()
    batch = SalsaVBatch(torch.randn(8, L, 64), some_inputs(n_rows=8))
    _, metrics = training_loss(field, field, batch, torch.Generator().manual_seed(0))
    assert metrics["shortcut"] == 0.0
    assert metrics["flow"] > 0.5


class RecordingField(ConstantField):
    """Says what it was asked; its velocity is x, so halves differ."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, x, t, d, conditions, is_known):
        self.asked.append((x, t, d))
        return x


def test_teacher_takes_two_half_steps_and_known_latents_stay():
    field, x = RecordingField(), torch.randn(2, L, 64)
    is_known = torch.zeros(2, L, dtype=torch.bool)
    is_known[:, 5:9] = True
    t, d = torch.tensor([0.5, 0.0]), torch.tensor([0.25, 1.0])
    target = shortcut_target(field, x, t, d, some_inputs(), is_known)
    (first_x, first_t, first_d), (second_x, second_t, second_d) = field.asked
    assert torch.equal(first_x, x) and torch.equal(first_t, t) and torch.equal(first_d, d / 2)
    assert torch.equal(second_t, t + d / 2) and torch.equal(second_d, d / 2)
    assert torch.equal(second_x[:, 5:9], x[:, 5:9])
    made = ~is_known
    assert torch.allclose(second_x[made], (x * (1 + d / 2)[:, None, None])[made])
    assert torch.allclose(target[made], (0.5 * (x + second_x))[made])


def test_known_latents_enter_clean_and_stay_out_of_the_loss():
    config = ObjectiveConfig(p_span=1.0, p_prefix=0.0, p_both_ends=0.0)
    field = RecordingField()
    batch = SalsaVBatch(torch.randn(6, L, 64), some_inputs(n_rows=6))
    loss, _ = training_loss(field, None, batch, torch.Generator().manual_seed(3), config)
    x, t, d = field.asked[0]
    is_clean = (x == batch.latents).all(dim=-1)  # [B, L]
    assert is_clean.any(dim=1).all() and not is_clean.all(dim=1).any()
    noise = (x - t[:, None, None] * batch.latents) / (1 - t)[:, None, None]
    error = (x - (batch.latents - noise)).square().mean(dim=-1)[~is_clean].mean()
    assert torch.allclose(loss, error, rtol=1e-3)
    assert torch.equal(d, torch.full((6,), 1 / 128))


def test_spans_are_drawn_as_configured():
    rng, n_rows, n_steps = torch.Generator().manual_seed(0), 4000, 215
    known = draw_known(n_rows, n_steps, rng, ObjectiveConfig())
    count, edges = known.sum(dim=1), known.int().diff(dim=1).abs().sum(dim=1) + known[:, 0] + known[:, -1]
    assert abs((count == 0).float().mean() - 0.2) < 0.03
    assert set(edges.tolist()) == {0, 2, 4}  # none, one span, two spans
    assert abs((edges == 4).float().mean() - 0.05) < 0.02
    one = edges == 2
    assert count[one].min() == 1 and count[one].max() == 88
    is_context = one & known[:, 0] & (count == 22)
    assert abs(is_context.float().mean() - 0.15) < 0.03
    place = known[one & ~known[:, 0]].float().mean(dim=0)
    assert place[100:110].mean() > 0.1 and place[-1] > 0  # in the middle, and up to the end
    for short in (3, 5, 30):
        assert not draw_known(200, short, rng, ObjectiveConfig()).all(dim=1).any()


def test_references_are_known_and_half_of_them_with_the_context_behind_them():
    n_reference = torch.tensor([0, 40, 205]).repeat(1000)
    known = draw_known(3000, 215, torch.Generator().manual_seed(0), ObjectiveConfig(), n_reference)
    assert set(known[1::3].sum(dim=1).tolist()) == {40, 62} and known[1::3, :40].all()
    assert abs((known[1::3].sum(dim=1) == 62).float().mean() - 0.5) < 0.05
    assert set(known[2::3].sum(dim=1).tolist()) == {205, 214}  # one step is left to make
    assert (known[0::3].sum(dim=1) == 0).any()  # the others as without references


def test_times_lie_on_the_grid_of_their_step_size():
    t, d = draw_times(500, 1000, torch.Generator().manual_seed(0), base_steps=128)
    assert torch.equal(d[:500].unique(), torch.tensor([1 / 128]))
    assert torch.equal(d[500:].unique(), torch.exp2(torch.arange(-6.0, 1.0)))
    assert ((t[500:] / d[500:]) % 1 == 0).all() and (t[500:] + d[500:] <= 1).all()
    assert t[:500].min() > 0 and t[:500].max() < 1 and abs(t[:500].mean() - 0.5) < 0.03


def test_conditions_are_dropped_together_and_apart():
    dropped = drop_conditions(some_inputs(n_rows=8000), torch.Generator().manual_seed(0), p_all=0.1, p_each=0.1)
    has = torch.stack([dropped.has_sync, dropped.has_semantic, dropped.has_text]).float()
    assert (abs(has.mean(dim=1) - 0.81) < 0.02).all()
    assert abs((has.sum(dim=0) == 0).float().mean() - 0.101) < 0.015
    absent = replace(some_inputs(), has_text=torch.tensor([False, True]))
    assert drop_conditions(absent, torch.Generator(), p_all=0.0, p_each=0.0).has_text.tolist() == [False, True]


def test_half_precision_training_is_finite_and_near():
    batch = SalsaVBatch(torch.randn(4, L, 64), some_inputs(n_rows=4))
    network = awake()
    full, _ = training_loss(network, network, batch, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        half, _ = training_loss(network, network, batch, torch.Generator().manual_seed(0))
    assert half.dtype == torch.float32
    assert abs(half - full) < 0.02 * full


# -- family


def test_same_seed_same_latents_other_seed_others():
    family = SalsaVFamily(awake())
    first, _ = sample(family, [some_features()], [7], steps=3)
    again, _ = sample(family, [some_features()], [7], steps=3)
    other, _ = sample(family, [some_features()], [8], steps=3)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=0.1)


def test_batch_of_two_equals_two_singles():
    family = SalsaVFamily(awake())
    windows = [some_features(seed=1), some_features(seed=2)]
    both, _ = sample(family, windows, [1, 2], steps=4, guidance=3.0)
    for index in range(2):
        single, _ = sample(family, windows[index : index + 1], [index + 1], steps=4, guidance=3.0)
        assert torch.allclose(both[index], single[0], atol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 16, 32, 64])
def test_known_latents_come_back_bit_for_bit(steps):
    is_known = torch.zeros(2, L, dtype=torch.bool)
    is_known[0, :9], is_known[0, 20:24], is_known[1, 31:] = True, True, True
    made, known = sample(SalsaVFamily(awake()), [some_features()] * 2, [1, 2], is_known, steps=steps)
    assert made.dtype == torch.float32 and made.isfinite().all()
    assert torch.equal(made[is_known], known[is_known])
    assert not torch.isclose(made[~is_known], known[~is_known]).all(dim=-1).any()


def test_conditions_and_guidance_change_the_sound():
    family, window = SalsaVFamily(awake()), some_features()
    base, _ = sample(family, [window], [0], guidance=1.0)
    changes = {
        "prompt": replace(window, text=-window.text),
        "no prompt": replace(window, text=torch.zeros_like(window.text)),
        "no sync": replace(window, streams={"semantic": window.streams["semantic"]}),
        "no semantics": replace(window, streams={"sync": window.streams["sync"]}),
    }
    for other in changes.values():
        assert not torch.allclose(base, sample(family, [other], [0], guidance=1.0)[0], atol=1e-4)
    guided, _ = sample(family, [window], [0], guidance=4.0)
    negative = replace(window, negative_text=torch.randn(TINY.text_dim))
    assert not torch.allclose(base, guided, atol=1e-4)
    assert not torch.allclose(guided, sample(family, [negative], [0], guidance=4.0)[0], atol=1e-4)
    assert torch.equal(base, sample(family, [negative], [0], guidance=1.0)[0])


def test_guidance_against_nothing_is_guidance_against_an_empty_negative_prompt():
    family, window = SalsaVFamily(awake()), some_features()
    empty = replace(window, negative_text=torch.zeros(TINY.text_dim))
    assert torch.equal(sample(family, [window], [0])[0], sample(family, [empty], [0])[0])


def test_short_streams_are_held_and_long_ones_cut():
    family, window = SalsaVFamily(awake()), some_features()
    sync = window.streams["sync"]
    held = torch.cat([sync.values[:20], sync.values[19:20].expand(4, -1)])
    short = replace(window, streams=window.streams | {"sync": replace(sync, values=sync.values[:20])})
    full = replace(window, streams=window.streams | {"sync": replace(sync, values=held)})
    longer = torch.cat([held, torch.randn(9, TINY.sync_dim)])
    long = replace(window, streams=window.streams | {"sync": replace(sync, values=longer)})
    made = [sample(family, [each], [0])[0] for each in (short, full, long)]
    assert torch.equal(made[0], made[1]) and torch.equal(made[1], made[2])


def test_windows_of_one_latent_step_are_made():
    family = SalsaVFamily(awake())
    made = family.sample(
        [some_features()], torch.zeros(1, 1, 64), torch.zeros(1, 1).bool(), Settings(), [torch.Generator()]
    )
    assert made.shape == (1, 1, 64) and made.isfinite().all()


def test_wrong_shapes_and_rates_are_refused():
    family, window = SalsaVFamily(awake()), some_features()
    rng, settings = torch.Generator(), Settings()
    for shape in ((2, L, 64), (1, L, 40), (1, TINY.window_steps + 1, 64)):
        with pytest.raises(ValueError, match="expects"):
            family.sample([window], torch.zeros(shape), torch.zeros(shape[:2]).bool(), settings, [rng])
    slow = Stream(torch.randn(24, TINY.sync_dim), Fraction(24))
    with pytest.raises(ValueError, match="24 Hz"):
        sample(family, [replace(window, streams={"sync": slow})], [0])


def test_save_then_load_gives_the_same_latents(tmp_path):
    family = SalsaVFamily(awake())
    save_family(family, tmp_path, torch.float32)
    loaded = load_family(tmp_path, "cpu", torch.float32)
    assert loaded.spec == family.spec
    first, _ = sample(family, [some_features()], [3])
    assert torch.equal(first, sample(loaded, [some_features()], [3])[0])


def test_half_precision_weights_load_as_asked(tmp_path):
    family = SalsaVFamily(awake())
    save_family(family, tmp_path)
    exact, _ = sample(family, [some_features()], [3])
    loaded, _ = sample(load_family(tmp_path, "cpu", torch.float32), [some_features()], [3])
    rough, _ = sample(load_family(tmp_path, "cpu", torch.bfloat16), [some_features()], [3])
    assert torch.allclose(exact, loaded, atol=0.02)
    assert rough.dtype == torch.float32 and (exact - rough).square().mean() < 0.01


def test_broken_weights_folders_are_refused(tmp_path):
    family = SalsaVFamily(awake())
    with pytest.raises(FoleyError, match="config.json"):
        load_family(tmp_path, "cpu", torch.float32)
    save_family(family, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["network"]["n_single"] += 1
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(FoleyError, match="single"):
        load_family(tmp_path, "cpu", torch.float32)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(FoleyError, match=r"model\.safetensors"):
        load_family(tmp_path, "cpu", torch.float32)
    (tmp_path / "config.json").write_text(json.dumps({"family": "tango", "network": {}}))
    with pytest.raises(FoleyError, match="tango"):
        load_family(tmp_path, "cpu", torch.float32)


def test_a_window_between_two_frames_hears_them_when_they_show() -> None:
    """A window's frames lie on the video's grid: how late they are must not move what is read off them."""
    upsampler = awake().sync_in
    frames = torch.randn(1, 90, TINY.sync_dim, generator=torch.Generator().manual_seed(5))
    whole = upsampler(frames, 120)
    start = 47  # latent step: frame 27.28
    late_frames = 28 - start * float(TINY.sync_rate_hz / TINY.latent_rate_hz)
    window = upsampler(frames[:, 28:], 60, torch.tensor([late_frames]))
    assert torch.allclose(window[:, 8:], whole[:, start + 8 : start + 60], atol=1e-4)
    assert not torch.allclose(upsampler(frames[:, 28:], 60)[:, 8:], whole[:, start + 8 : start + 60], atol=1e-2)

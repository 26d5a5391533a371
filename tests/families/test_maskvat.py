"""MaskVAT: sizes, three conditionings, objective, sampling, weights folder."""

import json
from dataclasses import replace

import pytest
import torch
from family_folders import n_parameters, save_family

from foleycli.errors import FoleyError
from foleycli.families import load_family
from foleycli.families.inputs import Inputs
from foleycli.families.maskvat.config import SIZES, MaskVatConfig
from foleycli.families.maskvat.family import MaskVatFamily
from foleycli.families.maskvat.network import MaskVat
from foleycli.families.maskvat.objective import MaskVatBatch, ObjectiveConfig, audio_losses, draw_masked, training_loss
from foleycli.records import Features, Stream
from foleycli.settings.settings import Settings

L, T, K, V = 40, 24, 3, 32
TINY = replace(
    SIZES["mini"], width=32, n_heads=2, n_blocks=2, n_encoder=1, sync_dim=6, semantic_dim=10, text_dim=8,
    heard_dim=12, n_codebooks=K, codebook_size=V, modulation_rank=0, head_rank=24,
)  # fmt: skip
CONDITIONINGS = ("adaln", "seq2seq", "hybrid")
all_conditionings = pytest.mark.parametrize("conditioning", CONDITIONINGS)


def awake(conditioning: str = "hybrid", seed: int = 0, **changes) -> MaskVat:
    """A network as after some training: the modulation of a new one is zero, and so are its blocks."""
    torch.manual_seed(seed)
    network = MaskVat(replace(TINY, conditioning=conditioning, **changes))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "modulation.project" in name:
                weight.add_(0.3 * torch.randn_like(weight))
            if "heads" in name:
                weight.mul_(4.0)
    return network.eval()


def some_inputs(n_rows: int = 2, seed: int = 1) -> Inputs:
    rng = torch.Generator().manual_seed(seed)
    yes = torch.ones(n_rows, dtype=torch.bool)
    return Inputs(
        torch.randn(n_rows, T, TINY.sync_dim, generator=rng),
        torch.randn(n_rows, 2, TINY.semantic_dim, generator=rng),
        torch.randn(n_rows, TINY.text_dim, generator=rng),
        *(yes, yes, yes),
    )


def some_features(seed: int = 0, **changes) -> Features:
    rng = torch.Generator().manual_seed(seed)
    streams = {
        "sync": Stream(torch.randn(T, TINY.sync_dim, generator=rng), TINY.sync_rate_hz),
        "semantic": Stream(torch.randn(2, TINY.semantic_dim, generator=rng), TINY.semantic_rate_hz),
    }
    return replace(Features(streams, torch.randn(TINY.text_dim, generator=rng)), **changes)


def some_codes(n_rows: int = 2, seed: int = 3) -> torch.Tensor:
    return torch.randint(0, V, (n_rows, L, K), generator=torch.Generator().manual_seed(seed))


def some_batch(n_rows: int = 4, **changes) -> MaskVatBatch:
    audio_features = torch.randn(n_rows, T // 2, TINY.heard_dim, generator=torch.Generator().manual_seed(2))
    return replace(MaskVatBatch(some_codes(n_rows), some_inputs(n_rows), audio_features), **changes)


def states(network: MaskVat, inputs: Inputs, codes=None, is_masked=None) -> torch.Tensor:
    n_rows = len(inputs.text)
    codes = some_codes(n_rows) if codes is None else codes
    is_masked = torch.ones(n_rows, L, dtype=torch.bool) if is_masked is None else is_masked
    with torch.no_grad():
        return network(codes, is_masked, network.encode_conditions(inputs, L))


def sample(family: MaskVatFamily, windows: list[Features], seeds: list[int], is_known=None, **settings):
    known = some_codes(len(windows), seed=9).float()
    is_known = torch.zeros(len(windows), L, dtype=torch.bool) if is_known is None else is_known
    rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
    chosen = Settings(**{"steps": 6, "guidance": 3.0, "words_guidance": 3.0, **settings})
    return family.sample(windows, known, is_known, chosen, rngs), known


# -- sizes and configuration


def test_mini_networks_are_small():
    for conditioning, changes in (
        ("adaln", {}), ("seq2seq", {"n_blocks": 4}), ("hybrid", {"n_blocks": 4, "n_encoder": 1, "modulation_rank": 32}),
    ):  # fmt: skip
        assert 4e6 < n_parameters("maskvat", replace(SIZES["mini"], conditioning=conditioning, **changes)) < 5e6


@all_conditionings
def test_full_size_runs_on_the_meta_device(conditioning):
    config = replace(SIZES["large"], conditioning=conditioning)
    with torch.device("meta"):
        network = MaskVat(config)
        yes = torch.ones(2, dtype=torch.bool)
        inputs = Inputs(
            torch.empty(2, 250, 768), torch.empty(2, 80, 1152), torch.empty(2, 1152), yes, yes, yes, torch.zeros(2)
        )
        codes = torch.zeros(2, 862, 9, dtype=torch.long)
        made = network(codes, torch.zeros(2, 862).bool(), network.encode_conditions(inputs, 862))
        assert network.logits(made, codes[..., :4]).shape == (2, 862, 1024)
    assert made.shape == (2, 862, 1024) and len(network.blocks) == 24
    assert 360e6 < n_parameters("maskvat", config) < 560e6


def test_configuration_survives_json():
    for config in SIZES.values():
        assert MaskVatConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert SIZES["mini"].to_dict()["latent_rate_hz"] == "11025/256"


def test_unknown_conditionings_and_keys_are_errors():
    with pytest.raises(FoleyError, match="cross"):
        MaskVatConfig.from_dict(TINY.to_dict() | {"conditioning": "cross"})
    with pytest.raises(FoleyError, match="n_layers"):
        MaskVatConfig.from_dict(TINY.to_dict() | {"n_layers": 3})


# -- network


@all_conditionings
def test_masked_codes_are_not_read_and_others_are(conditioning):
    network, inputs, codes = awake(conditioning), some_inputs(), some_codes()
    is_masked = torch.ones(2, L, dtype=torch.bool)
    is_masked[:, 10] = False
    changed = codes.clone()
    changed[is_masked] = (changed[is_masked] + 1) % V
    base = states(network, inputs, codes, is_masked)
    assert torch.equal(base, states(network, inputs, changed, is_masked))
    changed[:, 10, -1] = (changed[:, 10, -1] + 1) % V
    assert (base - states(network, inputs, changed, is_masked)).abs().mean() > 1e-4


def test_no_code_looks_like_the_mask():
    embedding = awake().codes_in
    codes = torch.arange(V)[None, :, None].expand(1, V, K)
    seen = embedding(codes, torch.zeros(1, V, dtype=torch.bool))
    masked = embedding(codes[:, :1], torch.ones(1, 1, dtype=torch.bool))
    assert (seen - masked).abs().amax(dim=-1).min() > 0.01
    assert embedding.mask.shape == (K, TINY.codebook_dim)


@all_conditionings
def test_missing_condition_is_the_learned_empty_vector(conditioning):
    network, inputs = awake(conditioning), some_inputs()
    no = torch.zeros(2, dtype=torch.bool)
    for name in ("sync", "semantic", "text"):
        empty = getattr(network, f"empty_{name}").detach()
        dropped = states(network, replace(inputs, **{f"has_{name}": no}))
        written = states(network, replace(inputs, **{name: empty.expand_as(getattr(inputs, name))}))
        assert torch.equal(dropped, written)
        assert (dropped - states(network, inputs)).abs().mean() > 1e-4


def test_late_frames_stand_at_their_own_moments():
    """A window between two pictures: those that it shows are the whole clip's, at the whole clip's times."""
    encoder, told = awake("seq2seq", n_encoder=0).encoder, some_inputs()
    memory = encoder(told.sync, told.semantic, told.text, None)
    late = encoder(told.sync[:, 2:], told.semantic, told.text, torch.full((2,), 2.0))
    assert (memory.n_visual, late.n_visual) == (12, 11)
    assert torch.allclose(late.table[:, :, :11], memory.table[:, 0, 1:12].unsqueeze(1), atol=1e-5)
    assert torch.allclose(late.visual[:, 1:], memory.visual[:, 2:], atol=1e-5)
    assert torch.equal(late.table[:, :, 11:], memory.table[:, 0, 12:].unsqueeze(1).expand_as(late.table[:, :, 11:]))


def test_new_cross_attention_looks_at_its_own_moment():
    """What the picture shows at one moment changes the codes of that moment most, before anything is learned."""
    torch.manual_seed(0)
    network = MaskVat(replace(TINY, conditioning="seq2seq", width=64, n_encoder=0)).eval()
    inputs = some_inputs(1)
    sync = inputs.sync.clone()
    sync[0, 12:14] += 5.0  # shows 0.5 s: latent step 21
    change = (states(network, inputs) - states(network, replace(inputs, sync=sync))).abs().sum(-1)[0]
    assert change[17:27].mean() > 1.5 * change[[*range(8), *range(34, L)]].mean()


def test_finer_levels_know_the_coarser_codes_of_their_frame_alone():
    network, frames = awake(), torch.randn(1, 5, TINY.width)
    coarser = torch.zeros(1, 5, 2, dtype=torch.long)
    other = coarser.clone()
    other[0, 3, 1] = 7
    change = (network.logits(frames, coarser) - network.logits(frames, other)).abs().sum(-1)[0]
    assert change[3] > 1e-3 and change[[0, 1, 2, 4]].max() == 0
    deaf = awake(hears_coarser=False, head_rank=0)
    assert torch.equal(deaf.logits(frames, coarser), deaf.logits(frames, other))


def test_codebooks_of_the_codec_are_taken_on():
    network, codebooks = awake(), 9.0 * torch.randn(K, V, TINY.codebook_dim)
    network.adopt_codebooks(codebooks)
    vectors = network.codes_in.vectors(torch.tensor([[[4, 5, 6]]]))[0, 0]  # [K, codebook_dim]
    for level, code in enumerate((4, 5, 6)):
        assert torch.cosine_similarity(vectors[level], codebooks[level, code], dim=0) > 0.999
    assert torch.allclose(network.codes_in.tables.weight.square().mean(), torch.tensor(1.0))


# -- objective


@all_conditionings
def test_objective_goes_down_on_one_batch_and_every_weight_learns(conditioning):
    torch.manual_seed(0)
    network = MaskVat(replace(TINY, conditioning=conditioning))
    batch = some_batch(codes=some_codes(4)[:1, :1].expand(4, L, K))
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    rng, entropies = torch.Generator().manual_seed(0), []
    for _ in range(40):
        loss, figures = training_loss(network, batch, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        entropies.append(figures["codes"].item())
    assert 0.8 < entropies[0] / torch.tensor(V).log() < 1.2
    assert entropies[-1] < 0.1
    assert ("regression" in figures) == (conditioning != "adaln")
    without = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert without == []


class Perfect(torch.nn.Module):
    """Knows every masked code; says what it was shown."""

    encoder = None

    def __init__(self, codes: torch.Tensor):
        super().__init__()
        self.codes = codes

    def encode_conditions(self, inputs, n_steps):
        self.inputs = inputs

    def forward(self, codes, is_masked, conditions):
        self.is_masked = is_masked
        return self.codes.float()

    def logits(self, states, coarser):
        right = states[..., coarser.shape[-1]].long()
        return 60.0 * torch.nn.functional.one_hot(right, V)


def test_perfect_answers_cost_nothing_but_what_is_smoothed():
    batch = some_batch()
    perfect = Perfect(batch.codes)
    loss, figures = training_loss(perfect, batch, torch.Generator().manual_seed(0))
    assert loss < 1e-5 and figures["codes"] < 1e-5
    smooth = ObjectiveConfig(label_smoothing=0.1)
    loss, figures = training_loss(perfect, batch, torch.Generator().manual_seed(0), smooth)
    assert abs(loss - 0.1 * 60.0 * (V - 1) / V) < 1e-3 and figures["codes"] < 1e-5


def test_known_steps_and_references_are_never_masked():
    only_prefix = ObjectiveConfig(p_span=0.0, p_prefix=1.0, p_both_ends=0.0, prefix_steps=7)
    batch = some_batch(n_reference=torch.tensor([0, 16, 0, 30]))
    perfect = Perfect(batch.codes)
    for seed in range(20):
        training_loss(perfect, batch, torch.Generator().manual_seed(seed), only_prefix)
        for row, n_known in enumerate((7, 16, 7, 30)):
            assert not perfect.is_masked[row, :n_known].any()
            assert perfect.is_masked[row, n_known:].any()


def test_masks_are_drawn_by_the_cosine():
    is_known = torch.zeros(4000, 50, dtype=torch.bool)
    is_known[:, :10] = True
    masked = draw_masked(is_known, torch.Generator().manual_seed(0))
    share = masked[:, 10:].float().mean(dim=1)
    assert not masked[:, :10].any() and share.min() > 0
    assert abs(share.mean() - 2 / torch.pi) < 0.02
    assert abs((share > 0.5**0.5).float().mean() - 0.5) < 0.05  # cos(u) is above cos(pi / 4) half of the time


def test_levels_are_weighted_as_configured():
    network, batch = awake("adaln"), some_batch()
    every, figures = training_loss(network, batch, torch.Generator().manual_seed(0))
    assert torch.allclose(every, figures["codes"])
    first = ObjectiveConfig(finer_weight=0.0)
    coarsest, figures = training_loss(network, batch, torch.Generator().manual_seed(0), first)
    assert torch.allclose(coarsest, figures["coarsest"]) and not torch.allclose(coarsest, every)


def test_encoder_is_held_against_what_is_heard():
    network, batch = awake("seq2seq"), some_batch()
    memory = network.encode_conditions(batch.inputs, L).memory
    yes = torch.ones(4, dtype=torch.bool)
    regression, contrast = audio_losses(network.encoder, memory, batch.audio_features, yes)
    right = network.encoder.foretell(memory.visual).detach()
    loudness = 5.0 * right + 2.0  # targets are normed: neither scale nor offset count
    normed = torch.nn.functional.layer_norm(right, right.shape[-1:])
    expected = (right - normed).square().mean()
    assert torch.allclose(audio_losses(network.encoder, memory, loudness, yes)[0], expected, atol=1e-4)
    assert regression > 0 and contrast > 0
    nothing = audio_losses(network.encoder, memory, batch.audio_features, ~yes)
    assert nothing[0] == 0 and nothing[1] == 0
    alone = audio_losses(network.encoder, memory, batch.audio_features, torch.tensor([True, False, False, False]))
    assert alone[1] == 0 and alone[0].isfinite()  # one row has nobody to be told from


def test_half_precision_training_is_finite_and_near():
    network, batch = awake(), some_batch()
    full, _ = training_loss(network, batch, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        half, _ = training_loss(network, batch, torch.Generator().manual_seed(0))
    assert half.dtype == torch.float32 and abs(half - full) < 0.03 * full


# -- family


@all_conditionings
def test_same_seed_same_codes_other_seed_others(conditioning):
    family = MaskVatFamily(awake(conditioning))
    first, _ = sample(family, [some_features()], [7])
    again, _ = sample(family, [some_features()], [7])
    other, _ = sample(family, [some_features()], [8])
    assert torch.equal(first, again)
    assert (first != other).float().mean() > 0.2
    assert torch.equal(first, first.round()) and first.min() >= 0 and first.max() < V


@all_conditionings
def test_batch_of_two_equals_two_singles(conditioning):
    family = MaskVatFamily(awake(conditioning))
    windows = [some_features(seed=1), some_features(seed=2)]
    both, _ = sample(family, windows, [1, 2], words_guidance=5.0)
    for index in range(2):
        single, _ = sample(family, windows[index : index + 1], [index + 1], words_guidance=5.0)
        assert torch.equal(both[index], single[0])


@pytest.mark.parametrize("steps", [1, 5, 64])
def test_known_codes_come_back_bit_for_bit(steps):
    is_known = torch.zeros(2, L, dtype=torch.bool)
    is_known[0, :9], is_known[0, 20:24], is_known[1, 31:] = True, True, True
    made, known = sample(MaskVatFamily(awake()), [some_features()] * 2, [1, 2], is_known, steps=steps)
    assert made.dtype == torch.float32 and made.isfinite().all()
    assert torch.equal(made[is_known], known[is_known])
    free, _ = sample(MaskVatFamily(awake()), [some_features()] * 2, [1, 2], steps=steps)
    assert (made[~is_known] != free[~is_known]).any()  # the other steps depend on them


def test_conditions_and_guidance_change_the_codes():
    family, window = MaskVatFamily(awake()), some_features()
    base, _ = sample(family, [window], [0], guidance=1.0)
    changes = {
        "prompt": replace(window, text=-window.text),
        "no prompt": replace(window, text=torch.zeros_like(window.text)),
        "no sync": replace(window, streams={"semantic": window.streams["semantic"]}),
        "no semantics": replace(window, streams={"sync": window.streams["sync"]}),
    }
    for other in changes.values():
        assert not torch.equal(base, sample(family, [other], [0], guidance=1.0)[0])
    guided, _ = sample(family, [window], [0], guidance=4.0)
    negative = replace(window, negative_text=torch.randn(TINY.text_dim))
    assert not torch.equal(base, guided)
    assert not torch.equal(guided, sample(family, [negative], [0], guidance=4.0)[0])
    assert torch.equal(base, sample(family, [negative], [0], guidance=1.0)[0])


def test_windows_of_one_step_are_made():
    for conditioning in CONDITIONINGS:
        family, short = MaskVatFamily(awake(conditioning)), (torch.zeros(1, 1, K), torch.zeros(1, 1).bool())
        made = family.sample([some_features()], *short, Settings(), [torch.Generator()])
        assert made.shape == (1, 1, K) and made.isfinite().all()


def test_wrong_shapes_are_refused():
    for shape in ((2, L, K), (1, L, K + 1), (1, TINY.window_steps + 1, K)):
        with pytest.raises(ValueError, match="expects"):
            MaskVatFamily(awake()).sample(
                [some_features()], torch.zeros(shape), torch.zeros(shape[:2]).bool(), Settings(), [torch.Generator()]
            )


@all_conditionings
def test_save_then_load_gives_the_same_codes(tmp_path, conditioning):
    family = MaskVatFamily(awake(conditioning))
    save_family(family, tmp_path, torch.float32)
    loaded = load_family(tmp_path, "cpu", torch.float32)
    assert loaded.spec == family.spec and loaded.spec.latents == "codes"
    first, _ = sample(family, [some_features()], [3])
    assert torch.equal(first, sample(loaded, [some_features()], [3])[0])
    half, _ = sample(load_family(tmp_path, "cpu", torch.bfloat16), [some_features()], [3])
    assert half.dtype == torch.float32 and half.shape == first.shape


def test_what_was_learned_comes_out():
    """A network that learned one code for each word says it when it is told the word."""
    torch.manual_seed(0)
    network = MaskVat(replace(TINY, conditioning="adaln"))
    words = torch.eye(2, TINY.text_dim)
    codes = torch.tensor([[3, 5, 7], [11, 2, 30]])[:, None].expand(2, L, K)
    same = some_inputs(1).rows(torch.zeros(2, dtype=torch.long))  # one picture, so that only words tell
    batch = some_batch(2, codes=codes, inputs=replace(same, text=words))
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for seed in range(60):
        loss, _ = training_loss(network, batch, torch.Generator().manual_seed(seed))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    sync = Stream(same.sync[0], TINY.sync_rate_hz)
    semantic = Stream(same.semantic[0], TINY.semantic_rate_hz)
    windows = [Features({"sync": sync, "semantic": semantic}, word) for word in words]
    made, _ = sample(MaskVatFamily(network), windows, [0, 1], guidance=1.0)
    assert (made == codes).float().mean() > 0.95

"""The contract of `families.base.Family`, one suite for all families: what the pipeline may take for granted.

A family joins with one entry in CASES.  Networks are small, with random weights; where trained ones ship, the
last test hears them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from family_folders import save_family
from mmaudio_parts import NETWORK, made_up
from torch import Tensor, nn

from foleycli.device import generator
from foleycli.errors import FoleyError
from foleycli.families import FAMILIES, load_family, spec_from_config
from foleycli.families.base import Family
from foleycli.families.foleyflow import config as foleyflow
from foleycli.families.foleyflow.family import FoleyFlowFamily
from foleycli.families.foleyflow.network import FoleyFlow
from foleycli.families.maskvat import config as maskvat
from foleycli.families.maskvat.family import MaskVatFamily
from foleycli.families.maskvat.network import MaskVat
from foleycli.families.mmaudio.config import CLIP_RATE_HZ, SEGMENT_RATE_HZ, TEXT_TOKENS, MMAudioConfig
from foleycli.families.mmaudio.family import MMAudioFamily
from foleycli.families.mmaudio.network import MMAudio
from foleycli.families.salsav import config as salsav
from foleycli.families.salsav.family import SalsaVFamily
from foleycli.families.salsav.network import SalsaV
from foleycli.families.vaura import config as vaura
from foleycli.families.vaura.family import VAuraFamily
from foleycli.families.vaura.network import VAura
from foleycli.hub.catalog import DEFAULT_MODEL, entries
from foleycli.hub.resolve import default_settings, resolve
from foleycli.lab import held_out
from foleycli.models.model import load_model
from foleycli.records import Features, Stream
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings
from foleycli.timebase import steps_to_cover
from foleycli.weights.config import ModelConfig
from foleycli.windows.compose import compose
from foleycli.windows.plan import plan_windows

SETTINGS = Settings(steps=3, guidance=3.0, words_guidance=4.0)
LONG_S = 30.0


# -- the families


def awake(network: nn.Module) -> nn.Module:
    """A network with made-up weights: a new one has gates and outputs of zero, and answers zero."""
    network.load_state_dict(made_up(network, 1.2))
    return network


READS = {"sync_dim": 6, "semantic_dim": 10, "text_dim": 8}
SMALL = {"width": 32, "n_heads": 2}
CODES = {"n_codebooks": 3, "codebook_size": 16}


def salsav_mini() -> Family:
    shape = replace(salsav.SIZES["mini"], **SMALL, **READS, n_joint=1, n_single=1, modulation_rank=0)
    return SalsaVFamily(awake(SalsaV(shape)))


def vaura_mini() -> Family:
    shape = {"n_layers": 1, "visual_width": 16, "visual_dim": 6, "latent_rate_hz": Fraction(10), "window_steps": 50}
    return VAuraFamily(awake(VAura(replace(vaura.SIZES["mini"], **SMALL, **CODES, **shape))))


def vaura_published() -> Family:
    """As published, with segments for pictures, but for its widths."""
    shape = {"n_layers": 1, "visual_width": 16, "visual_dim": 6, "latent_rate_hz": Fraction(10), "window_steps": 26}
    return VAuraFamily(awake(VAura(replace(vaura.SIZES["published"], **SMALL, **CODES, **shape))))


def maskvat_mini() -> Family:
    shape = replace(maskvat.SIZES["mini"], **SMALL, **READS, **CODES, n_blocks=1, n_encoder=1)
    return MaskVatFamily(awake(MaskVat(shape)))


def foleyflow_mini() -> Family:
    layers = {"video_layers": 1, "audio_layers": 1, "decoder_layers": 1}
    widths = {"video_width": 16, "video_heads": 2, "audio_width": 16, "audio_heads": 2, "condition_width": 8}
    shape = replace(foleyflow.SIZES["mini"], **SMALL, **READS, **layers, **widths, n_blocks=1)
    return FoleyFlowFamily(awake(FoleyFlow(shape)))


def mmaudio_reduced() -> Family:
    return MMAudioFamily(awake(MMAudio(MMAudioConfig.parse(NETWORK))))


def saved(family: Family, folder: Path) -> None:
    save_family(family, folder, torch.float32)


def published(family: Family, folder: Path) -> None:
    """MMAudio's own file form: foley reads it and writes none."""
    config = {"family": "mmaudio", "network": NETWORK, "weights": "net.pth"}
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(family.network.state_dict(), folder / "net.pth")


@dataclass(frozen=True)
class Case:
    """A family in small, and what one must know to feed and to store it."""

    build: Callable[[], Family]
    rates_hz: dict[str, Fraction]  # of its feature streams
    text_shape: tuple[int, ...] = (READS["text_dim"],)
    store: Callable[[Family, Path], None] = saved


OURS = {"sync": Fraction(25), "semantic": Fraction(2)}
CASES = {
    "salsa-v": Case(salsav_mini, OURS),
    "maskvat": Case(maskvat_mini, OURS),
    "foley-flow": Case(foleyflow_mini, OURS),
    "vaura": Case(vaura_mini, {"sync": Fraction(25)}, (0,)),
    "vaura as published": Case(vaura_published, {"avclip": Fraction(25, 2)}, (0,)),
    "mmaudio": Case(mmaudio_reduced, {"sync": SEGMENT_RATE_HZ, "semantic": CLIP_RATE_HZ}, (TEXT_TOKENS, 32), published),
}


@dataclass(frozen=True)
class Subject:
    """A built family, and windows made up for it."""

    case: Case
    family: Family

    @property
    def n_steps(self) -> int:
        return self.family.spec.window_steps

    def features(self, seed: int = 0, duration_s: float | None = None) -> Features:
        spec, rng = self.family.spec, torch.Generator().manual_seed(seed)
        duration_s = duration_s or float(spec.window_steps / spec.latent_rate_hz)
        streams = {
            name: Stream(torch.randn(steps_to_cover(duration_s, rate), spec.stream_dims[name], generator=rng), rate)
            for name, rate in self.case.rates_hz.items()
        }
        return Features(streams, torch.randn(self.case.text_shape, generator=rng))

    def known(self, *shape: int, seed: int = 9) -> Tensor:
        """Latents that could be, float32 [*shape, D]."""
        spec, rng = self.family.spec, torch.Generator().manual_seed(seed)
        if spec.latents == "codes":
            return torch.randint(0, CODES["codebook_size"], (*shape, spec.latent_dim), generator=rng).float()
        return torch.randn(*shape, spec.latent_dim, generator=rng)

    def sample(self, seeds=(0,), features=None, known=None, is_known=None, settings=SETTINGS, n_steps=None) -> Tensor:
        n_rows = len(seeds)
        features = features or [self.features()] * n_rows
        known = self.known(n_rows, n_steps or self.n_steps) if known is None else known
        is_known = torch.zeros(known.shape[:2], dtype=torch.bool) if is_known is None else is_known
        return self.family.sample(features, known, is_known, settings, [generator(seed) for seed in seeds])

    def composed(self, reference: Tensor | None = None, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """30 s in windows, with a second in the middle known: what is made [L, D], known and is_known."""
        spec = self.family.spec
        n_steps, rate_hz = steps_to_cover(LONG_S, spec.latent_rate_hz), spec.latent_rate_hz
        n_reference = 0 if reference is None else len(reference)
        windows = plan_windows(
            n_steps,
            spec.window_steps,
            round(rate_hz),
            n_reference=n_reference,
            grid_steps=spec.window_grid_s * rate_hz,
            whole=spec.whole_windows,
        )
        assert len(windows) > 3
        known, is_known = self.known(n_steps), torch.zeros(n_steps, dtype=torch.bool)
        is_known[n_steps // 2 : n_steps // 2 + round(rate_hz)] = True
        settings = replace(SETTINGS, steps=2, seed=seed)
        features = self.features(duration_s=LONG_S)
        given = {"context": known, "context_mask": is_known, "reference": reference}
        return compose(self.family, features, windows, settings, [settings.seed], **given)[0], known, is_known


@pytest.fixture(scope="module", params=CASES, ids=lambda name: name.replace(" ", "-"))
def subject(request) -> Subject:
    case = CASES[request.param]
    return Subject(case, case.build())


def check_possible(made: Tensor, subject: Subject, *shape: int) -> None:
    """Of the asked length, finite, and codes where codes are promised."""
    assert made.shape == (*shape, subject.family.spec.latent_dim) and made.dtype == torch.float32
    assert made.isfinite().all()
    if subject.family.spec.latents == "codes":
        assert torch.equal(made, made.round()) and made.min() >= 0 and made.max() < CODES["codebook_size"]


# -- the contract


def test_every_family_is_held_to_it():
    assert {case.build().spec.name for case in CASES.values()} == set(FAMILIES)


def config_of_subject(subject: Subject) -> dict:
    """The "network" part of its config.json."""
    return json.loads(json.dumps(subject.family.network.config.to_dict()))


def test_the_spec_is_known_from_the_config_alone(subject):
    config = config_of_subject(subject)
    assert type(subject.family).spec_from_config(config) == subject.family.spec
    assert spec_from_config(ModelConfig(family=subject.family.name, network=config)) == subject.family.spec


def test_specs_of_all_families_need_no_torch():
    code = "import sys; from foleycli import families as f; [f._import_class(f.CONFIGS, name) for name in f.FAMILIES]"
    subprocess.run([sys.executable, "-c", code + "; assert 'torch' not in sys.modules"], check=True)


@pytest.mark.parametrize("change", [{"colour": 3}, {"width": "wide"}, {"width": True}, {"latent_rate_hz": "1/0"}])
def test_configs_that_are_not_understood_are_refused(subject, change):
    with pytest.raises(FoleyError, match=next(iter(change))):
        type(subject.family).spec_from_config(config_of_subject(subject) | change)


def test_an_empty_network_has_every_shape_and_no_number(subject):
    empty = type(subject.family).build_empty(config_of_subject(subject)).network.state_dict()
    own = subject.family.network.state_dict()
    assert {key: value.shape for key, value in empty.items()} == {key: value.shape for key, value in own.items()}
    assert all(value.is_meta for value in empty.values())


def test_a_network_is_built_to_be_loaded_without_torch_s_compiler(subject):
    """Drawing and arithmetic on the meta device import sympy, torch._dynamo: up to a second of every start."""
    code = f"""if True:
        import sys
        from foleycli.families import family_class
        family_class({subject.family.name!r}).build_empty({config_of_subject(subject)!r})
        assert not {{"torch._dynamo", "sympy"}} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_of_something_else_is_not_imported(subject, tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.ckpt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FoleyError, match="other.ckpt"):
        type(subject.family).import_files(tmp_path / "other.ckpt", tmp_path / "folder")
    assert not list((tmp_path / "folder").iterdir())


def test_same_seed_same_result_other_seed_another(subject):
    first = subject.sample([7])
    assert torch.equal(first, subject.sample([7]))
    assert (first != subject.sample([8])).float().mean() > 0.2


@pytest.mark.parametrize("where", [slice(0, 9), slice(11, 20), slice(-6, None), slice(0, None, 3), slice(None)])
def test_known_steps_come_back_bit_for_bit(subject, where):
    known, is_known = subject.known(1, subject.n_steps), torch.zeros(1, subject.n_steps, dtype=torch.bool)
    is_known[:, where] = True
    made = subject.sample(known=known, is_known=is_known)
    check_possible(made, subject, 1, subject.n_steps)
    assert torch.equal(made[is_known], known[is_known])
    # What stands in the unknown steps is not read.
    other = torch.where(is_known[..., None], known, torch.full_like(known, 5.0))
    assert torch.equal(made, subject.sample(known=other, is_known=is_known))


def test_known_steps_change_the_others(subject):
    is_known = torch.zeros(1, subject.n_steps, dtype=torch.bool)
    is_known[:, : subject.n_steps // 2] = True
    one, other = (
        subject.sample(known=subject.known(1, subject.n_steps, seed=seed), is_known=is_known) for seed in (1, 2)
    )
    assert not torch.equal(one[~is_known], other[~is_known])


@pytest.mark.parametrize("n_steps", [1, 2, 17, None])
def test_windows_of_any_length_are_made_exactly(subject, n_steps):
    check_possible(subject.sample([1, 2], n_steps=n_steps), subject, 2, n_steps or subject.n_steps)


@pytest.mark.parametrize(("steps", "guidance"), [(1, 1.0), (2, 20.0), (7, 5.0)])
def test_settings_within_their_bounds_give_finite_sound(subject, steps, guidance):
    settings = replace(SETTINGS, steps=steps, guidance=guidance, words_guidance=2 * guidance)
    check_possible(subject.sample(settings=settings), subject, 1, subject.n_steps)


def test_what_is_not_there_may_be_left_out(subject):
    full = subject.features()
    nothing = Features({}, torch.zeros_like(full.text))
    blind = subject.sample(features=[nothing])
    check_possible(blind, subject, 1, subject.n_steps)
    assert not torch.equal(blind, subject.sample(features=[full]))  # the picture is looked at


def test_a_batch_of_two_is_its_two_windows(subject):
    features = [subject.features(1), subject.features(2)]
    known, is_known = subject.known(2, subject.n_steps), torch.zeros(2, subject.n_steps, dtype=torch.bool)
    is_known[1, 5:12] = True
    together = subject.sample([3, 4], features, known, is_known)
    for k, seed in enumerate((3, 4)):
        alone = subject.sample([seed], features[k : k + 1], known[k : k + 1], is_known[k : k + 1])
        assert torch.allclose(together[k], alone[0], atol=1e-4)


def test_stored_weights_make_the_same_sound(subject, tmp_path):
    subject.case.store(subject.family, tmp_path)
    loaded = Subject(subject.case, load_family(tmp_path, "cpu", torch.float32))
    assert loaded.family.spec == subject.family.spec
    assert torch.equal(subject.sample([3]), loaded.sample([3]))


def test_half_a_minute_is_made_in_windows(subject):
    made, known, is_known = subject.composed()
    check_possible(made, subject, len(known))
    assert torch.equal(made[is_known], known[is_known])
    assert torch.equal(made, subject.composed()[0])
    assert not torch.equal(made, subject.composed(seed=1)[0])


def test_a_reference_changes_what_is_made(subject):
    plain, _, _ = subject.composed()
    reference = subject.known(subject.n_steps // 3, seed=4)
    made, known, is_known = subject.composed(reference)
    check_possible(made, subject, len(known))
    assert torch.equal(made[is_known], known[is_known])
    assert not torch.equal(made[: subject.n_steps // 2], plain[: subject.n_steps // 2])


# -- and by ear, where trained weights ship


@pytest.fixture(scope="module")
def drawn() -> list[held_out.HeldOutClip]:
    """Held-out clips in which something strikes, with a loud sound to take after; all shipped models watch alike."""
    clips = held_out.draw_clips(load_model(resolve(DEFAULT_MODEL), "cpu"), 16, sounds=None)
    return [one for one in clips if len(one.clip.events) >= 2 and np.abs(one.other_sound[:44100]).max() > 0.02]


@pytest.mark.slow
@pytest.mark.parametrize("name", [entry.name for entry in entries("family") if entry.is_shipped])
def test_a_reference_pulls_the_timbre_of_shipped_weights_towards_itself(name, drawn):
    model, settings = load_model(resolve(name), "cpu"), resolve_settings(model_defaults=default_settings(name))
    with_it, without = np.mean([held_out.reference_distances_db(model, one, settings) for one in drawn], axis=0)
    assert with_it < without

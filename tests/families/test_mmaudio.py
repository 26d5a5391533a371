"""MMAudio as a family: the sampler as measured, known steps, batches, missing conditions."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from madeup import FIXTURES, made_up_input
from mmaudio_parts import NETWORK, error_of, made_up

from foleycli.families.mmaudio.config import MMAudioConfig
from foleycli.families.mmaudio.family import EDGE_STEPS, MMAudioFamily, context_strength
from foleycli.families.mmaudio.network import MMAudio
from foleycli.records import Features, Stream
from foleycli.settings.settings import Settings

L = 50
SETTINGS = Settings(steps=3, guidance=4.5)


@pytest.fixture(scope="module")
def family() -> MMAudioFamily:
    network = MMAudio(MMAudioConfig.parse(NETWORK))
    network.load_state_dict(made_up(network, 1.2))
    return MMAudioFamily(network)


def about(name: str = "a", n_segments: int = 3, n_pictures: int = 12) -> Features:
    streams = {
        "sync": Stream(made_up_input("sync" + name, (n_segments, 8 * 24)), Fraction(25, 8)),
        "semantic": Stream(made_up_input("clip" + name, (n_pictures, 32)), Fraction(8)),
    }
    return Features(streams, made_up_input("text" + name, (77, 32)))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def run(family, features, known=None, is_known=None, settings=SETTINGS, seeds=(0,)):
    known = torch.zeros(len(features), L, 20) if known is None else known
    is_known = torch.zeros(known.shape[:2], dtype=torch.bool) if is_known is None else is_known
    return family.sample(features, known, is_known, settings, [rng(seed) for seed in seeds])


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_sampler_is_as_measured(version, monkeypatch):
    """25 Euler steps with guidance 4.5 from given noise, through the family itself."""
    rate_hz = Fraction(31)  # one second: 31 latents, 8 pictures; 16 tokens are two segments
    config = MMAudioConfig(20, 128, 2, 2, 2, rate_hz, 31, is_v2=version == "v2")
    network = MMAudio(config)
    network.load_state_dict(made_up(network, 1.2))
    family = MMAudioFamily(network)
    clip, sync = made_up_input("clip", (2, 8, 1024)), made_up_input("sync", (2, 16, 768))
    text, noise = made_up_input("text", (2, 77, 1024)), made_up_input("latent", (2, 31, 20))
    features = [
        Features(
            {"semantic": Stream(clip[k], Fraction(8)), "sync": Stream(sync[k].view(2, -1), Fraction(25, 8))}, text[k]
        )
        for k in range(2)
    ]
    given = iter(noise)
    monkeypatch.setattr(torch, "randn", lambda *args, **kwargs: next(given))
    made = family.sample(
        features, torch.zeros(2, 31, 20), torch.zeros(2, 31, dtype=torch.bool), Settings(steps=25, guidance=4.5),
        [rng(), rng()],
    )  # fmt: skip
    assert error_of(made, np.load(FIXTURES / f"mmaudio_net_{version}.npz")["unnormalized"]) < 1e-4


@pytest.mark.parametrize("places", [slice(0, 12), slice(20, 30), slice(45, 50), slice(0, 50, 2)])
def test_known_steps_come_back_bit_for_bit(family, places):
    known, is_known = made_up_input("known", (1, L, 20), 3.0), torch.zeros(1, L, dtype=torch.bool)
    is_known[:, places] = True
    made = run(family, [about()], known, is_known)
    assert torch.equal(made[:, places], known[:, places])
    other = run(family, [about()], known + 1.0, is_known)
    assert not torch.equal(made[~is_known], other[~is_known])  # what is made depends on what is known


def test_known_steps_are_read_only_where_they_are_known(family):
    is_known = torch.zeros(1, L, dtype=torch.bool)
    is_known[:, :10] = True
    known = made_up_input("known", (1, L, 20))
    unread = torch.where(is_known[..., None], known, torch.full_like(known, 7.0))
    assert torch.equal(run(family, [about()], known, is_known), run(family, [about()], unread, is_known))


def test_a_batch_is_its_single_windows(family):
    together = run(family, [about("a"), about("b")], seeds=(1, 2))
    for k, name in enumerate("ab"):
        assert torch.allclose(together[k : k + 1], run(family, [about(name)], seeds=(k + 1,)), atol=1e-4)


def test_same_seed_same_latents(family):
    assert torch.equal(run(family, [about()]), run(family, [about()]))
    assert not torch.equal(run(family, [about()]), run(family, [about()], seeds=(1,)))


@pytest.mark.parametrize("absent", ["sync", "semantic"])
def test_absent_streams_are_the_empty_condition(family, absent):
    features = about()
    left = {name: stream for name, stream in features.streams.items() if name != absent}
    made = run(family, [replace(features, streams=left)])
    empty = family.network.empty_clip_feat if absent == "semantic" else family.network.empty_sync_feat
    told = empty.expand(12, -1) if absent == "semantic" else empty.expand(8, -1).flatten().expand(3, -1)
    with_empty = replace(features, streams=left | {absent: Stream(told, features.streams[absent].rate_hz)})
    assert torch.allclose(made, run(family, [with_empty]), atol=1e-5)
    assert not torch.allclose(made, run(family, [features]), atol=1e-3)


def test_words_steer(family):
    plain, base = about(), run(family, [about()])
    assert not torch.allclose(base, run(family, [replace(plain, text=torch.zeros(77, 32))]), atol=1e-3)
    steered = run(family, [replace(plain, negative_text=made_up_input("no", (77, 32)))])
    assert not torch.allclose(base, steered, atol=1e-3)
    empty = replace(plain, negative_text=family.network.empty_string_feat)
    assert torch.allclose(base, run(family, [empty]), atol=1e-5)


def test_without_guidance_the_negative_prompt_is_not_read(family):
    settings = replace(SETTINGS, guidance=1.0)
    steered = replace(about(), negative_text=made_up_input("no", (77, 32)))
    assert torch.equal(run(family, [about()], settings=settings), run(family, [steered], settings=settings))


def test_wrong_shapes_are_named(family):
    with pytest.raises(ValueError, match=r"text has shape \(32,\)"):
        run(family, [replace(about(), text=torch.zeros(32))])
    with pytest.raises(ValueError, match="1..250"):
        run(family, [about()], torch.zeros(1, 251, 20))
    wrong = Stream(torch.zeros(3, 192), Fraction(25))
    with pytest.raises(ValueError, match="'sync'.*25 Hz"):
        run(family, [replace(about(), streams={"sync": wrong})])


def test_known_steps_are_held_less_firmly_near_unknown_ones():
    is_known = torch.ones(1, 20, dtype=torch.bool)
    is_known[:, 10:] = False
    held = context_strength(is_known)[0]
    assert held[: 10 - EDGE_STEPS].eq(1).all()
    assert torch.allclose(held[10 - EDGE_STEPS : 10], torch.tensor([0.8, 0.6, 0.4, 0.2]))
    assert context_strength(torch.ones(1, 9, dtype=torch.bool)).eq(1).all()


def test_bfloat16_is_close(family):
    low = MMAudioFamily(MMAudio(MMAudioConfig.parse(NETWORK)))
    low.network.load_state_dict(family.network.state_dict())
    low.network.to(dtype=torch.bfloat16)
    known, is_known = made_up_input("known", (1, L, 20)), torch.zeros(1, L, dtype=torch.bool)
    is_known[:, :10] = True
    made, wanted = (run(one, [about()], known, is_known, replace(SETTINGS, guidance=1.0)) for one in (low, family))
    assert made.dtype == torch.float32 and torch.equal(made[:, :10], known[:, :10])
    assert (made - wanted).norm() < 0.05 * wanted.norm()

"""Windows through a real, small SALSA-V network: what is known stays, shots do not hear one another, chunks join."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from foleycli.codecs.dacvae import DacVae, DacVaeConfig
from foleycli.families.salsav.config import SIZES
from foleycli.families.salsav.family import SalsaVFamily
from foleycli.families.salsav.network import SalsaV
from foleycli.records import Features, Stream
from foleycli.settings.settings import Settings
from foleycli.windows.compose import Track, compose, compose_together, cut_features, decode_chunks, in_batches
from foleycli.windows.plan import plan_windows

CONFIG = replace(
    SIZES["mini"], width=32, n_heads=2, n_joint=1, n_single=1, sync_dim=6, semantic_dim=8, text_dim=8,
    modulation_rank=0, window_steps=40,
)  # fmt: skip
L, CONTEXT, CUT = 100, 8, 50
SETTINGS = Settings(steps=2, seed=3)


@pytest.fixture(scope="module")
def family() -> SalsaVFamily:
    torch.manual_seed(0)
    network = SalsaV(CONFIG)
    with torch.no_grad():  # a new network has zero gates and answers zero
        for name, weight in network.named_parameters():
            if "modulation.project" in name or "final.out" in name:
                weight.add_(0.1 * torch.randn_like(weight))
    return SalsaVFamily(network)


def features(seed: int = 0) -> Features:
    rng = torch.Generator().manual_seed(seed)
    streams = {
        "sync": Stream(torch.randn(58, 6, generator=rng), Fraction(25)),
        "semantic": Stream(torch.randn(5, 8, generator=rng), Fraction(2)),
    }
    return Features(streams, torch.randn(8, generator=rng))


def made(family, known=None, is_known=None, cuts=(), reference=None, told=features(), settings=SETTINGS, report=None):
    known = torch.zeros(L, 64) if known is None else known
    is_known = torch.zeros(L, dtype=torch.bool) if is_known is None else is_known
    n_reference = 0 if reference is None else len(reference)
    windows = plan_windows(L, CONFIG.window_steps, CONTEXT, cut_steps=cuts, n_reference=n_reference)
    more = {} if report is None else {"report": report}
    return compose(
        family,
        told,
        windows,
        settings,
        [settings.seed],
        context=known,
        context_mask=is_known,
        reference=reference,
        **more,
    )[0]


def made_after(family, windows, known, is_known, reference):
    given = {"context": known, "context_mask": is_known, "reference": reference}
    return compose(family, features(), windows, SETTINGS, [SETTINGS.seed], **given)[0]


@pytest.mark.parametrize("where", [slice(0, 12), slice(88, 100), slice(30, 50), slice(0, 100, 3), slice(0, 100)])
def test_known_steps_come_back_bit_for_bit(family, where):
    known = torch.randn(L, 64, generator=torch.Generator().manual_seed(1))
    is_known = torch.zeros(L, dtype=torch.bool)
    is_known[where] = True
    track = made(family, known, is_known)
    assert torch.equal(track[is_known], known[is_known])
    assert torch.isfinite(track).all()
    assert not is_known.all() or torch.equal(track, known)
    if not is_known.all():
        assert not torch.equal(track[~is_known], made(family)[~is_known])  # the known steps change the others


def test_same_seed_same_track_other_seed_another(family):
    assert torch.equal(made(family), made(family))
    assert not torch.equal(made(family), made(family, settings=replace(SETTINGS, seed=4)))


def test_takes_made_together_are_what_their_seeds_make_alone(family):
    known, is_known = torch.randn(L, 64, generator=torch.Generator().manual_seed(1)), torch.zeros(L, dtype=torch.bool)
    is_known[30:50] = True
    reference, seeds = torch.randn(15, 64, generator=torch.Generator().manual_seed(2)), [3, 9, 4]
    windows = plan_windows(L, CONFIG.window_steps, CONTEXT, cut_steps=[CUT], n_reference=len(reference))
    given = {"context": known, "context_mask": is_known, "reference": reference}
    together = compose(family, features(), windows, SETTINGS, seeds, **given)  # [3, L, D]
    for seed, track in zip(seeds, together, strict=True):
        alone = compose(family, features(), windows, SETTINGS, [seed], **given)[0]
        assert torch.allclose(track, alone, atol=1e-5)
        assert torch.equal(track[is_known], known[is_known])
    assert (together[0] - together[1]).abs()[~is_known].mean() > 0.1


def test_each_window_goes_on_from_the_one_before(family):
    def second_window_after(seed: int) -> torch.Tensor:
        known = torch.randn(L, 64, generator=torch.Generator().manual_seed(seed))
        is_known = torch.zeros(L, dtype=torch.bool)
        is_known[: CONFIG.window_steps] = True  # the first window is given
        return made(family, known, is_known)[CONFIG.window_steps :]

    assert not torch.equal(second_window_after(1), second_window_after(2))


def test_a_shot_hears_nothing_of_the_one_before(family):
    one, other = features(0), features(0)
    other.streams["sync"].values[: int(CUT / CONFIG.latent_rate_hz * 25) - 1] += 5
    with_cut = [made(family, cuts=[CUT], told=told) for told in (one, other)]
    assert not torch.equal(with_cut[0][:CUT], with_cut[1][:CUT])
    assert torch.equal(with_cut[0][CUT:], with_cut[1][CUT:])
    without = [made(family, told=told) for told in (one, other)]
    assert not torch.equal(without[0][CUT:], without[1][CUT:])


@pytest.mark.parametrize("at_once", [1, 2, 8])
@pytest.mark.parametrize("cuts", [(), (50,), (40, 80, 160, 163, 250), range(50, 4000, 50)])
def test_windows_of_a_batch_are_alike_and_come_after_what_they_go_on_from(cuts, at_once):
    windows = plan_windows(4000, CONFIG.window_steps, CONTEXT, cut_steps=cuts)
    batches = list(in_batches(windows, at_once))
    assert sorted(window.index for batch in batches for window in batch) == [window.index for window in windows]
    made_steps = torch.zeros(4000, dtype=torch.bool)
    for batch in batches:
        assert len(batch) <= at_once and len({window.n_steps for window in batch}) == 1
        for window in batch:
            assert made_steps[window.start_step : window.start_step + window.n_context].all()
        for window in batch:
            new = slice(window.start_step + window.n_context, window.end_step)
            assert not made_steps[new].any()
            made_steps[new] = True
    assert made_steps.all()


def test_eighty_shots_of_two_windows_are_twenty_batches():
    windows = plan_windows(4000, CONFIG.window_steps, CONTEXT, cut_steps=range(50, 4000, 50))
    assert [len(batch) for batch in in_batches(windows, 8)] == [8] * 20


def test_shots_share_batches_and_sound_as_if_alone(family, monkeypatch):
    sizes: list[int] = []
    sample = SalsaVFamily.sample
    monkeypatch.setattr(
        SalsaVFamily, "sample", lambda self, **given: sizes.append(len(given["rngs"])) or sample(self, **given)
    )
    together = made(family, cuts=[CUT])
    assert sizes == [2, 2]  # two shots of two windows each
    windows = plan_windows(L, CONFIG.window_steps, CONTEXT, cut_steps=[CUT])
    for shot in (slice(0, CUT), slice(CUT, L)):
        of_shot = [window for window in windows if shot.start <= window.start_step < shot.stop]
        alone = made_after(family, of_shot, torch.zeros(L, 64), torch.zeros(L, dtype=torch.bool), None)
        assert torch.allclose(together[shot], alone[shot], atol=1e-5)


def test_a_reference_is_heard_in_every_shot_and_thrown_away(family):
    reference = torch.randn(15, 64, generator=torch.Generator().manual_seed(2))
    plain, with_ref = made(family, cuts=[CUT]), made(family, cuts=[CUT], reference=reference)
    assert with_ref.shape == plain.shape
    for shot in (slice(0, CUT), slice(CUT, L)):
        assert not torch.equal(plain[shot], with_ref[shot])
        assert not any(torch.equal(step, reference[0]) for step in with_ref[shot])


def test_a_reference_is_repeated_in_later_windows_where_there_is_room(family):
    sounds = torch.randn(2, 15, 64, generator=torch.Generator().manual_seed(2))
    first = CONFIG.window_steps - 15
    sounds[1, 8:] = sounds[0, 8:]  # what differs stands at the beginning, where a reference has its attack
    known, is_known = torch.zeros(L, 64), torch.arange(L) < first  # later windows go on from the same
    for n_repeated in (0, 8):
        windows = plan_windows(L, CONFIG.window_steps, CONTEXT, n_reference=15, n_repeated=n_repeated)
        assert windows[0].end_step == first
        one, two = (made_after(family, windows, known, is_known, sound) for sound in sounds)
        assert torch.equal(one, two) == (n_repeated == 0)


def test_progress_rises_to_its_end(family):
    told: list[tuple[float, float]] = []
    made(family, report=lambda stage, done, total: told.append((done, total)))
    shares = [done / total for done, total in told]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    assert len(shares) > 2 * 4  # not once per window: 64 steps of a long one take a while


def test_features_of_a_window():
    values = torch.arange(50.0)[:, None]
    whole = Features({"sync": Stream(values, Fraction(25))}, torch.zeros(1))

    def cut(*times: str) -> list[int]:
        return cut_features(whole, *map(Fraction, times)).streams["sync"].values[:, 0].int().tolist()

    assert cut("0", "0.2", "0") == [0, 1, 2, 3, 4]
    assert cut("1", "0.2", "0") == [25, 26, 27, 28, 29]
    assert cut("1", "0.12", "0.08") == [25, 25, 25, 26, 27]  # the shot's own first picture over a reference
    assert cut("1.92", "0.2", "0") == [48, 49, 49, 49, 49]
    assert cut("5", "0.08", "0.04") == [49, 49, 49]


@pytest.mark.parametrize("n_steps", [1, 39, 90])
def test_decoding_in_chunks_gives_what_decoding_at_once_gives(n_steps):
    torch.manual_seed(1)
    codec = DacVae(DacVaeConfig(encoder_dim=8, decoder_dim=64, n_codebooks=2)).eval()
    track = torch.randn(n_steps, 64)
    with torch.inference_mode():
        whole = codec.decode(track[None])[0]
        pieces = list(decode_chunks(codec, track, chunk_steps=32))
    assert [len(piece) for piece in pieces[:-1]] == [32 * codec.hop] * (len(pieces) - 1)
    joined = torch.cat(pieces)
    assert joined.shape == whole.shape
    assert (joined - whole).abs().max() < 1e-4 * whole.abs().max()


@pytest.mark.parametrize("n_steps", [L, 33])
def test_tracks_beside_one_another_are_what_they_are_alone(family, n_steps):
    """The same noise, the same context, the same reference, whatever else is in the batch."""
    reference = torch.randn(12, 64, generator=torch.Generator().manual_seed(2))
    windows = plan_windows(n_steps, CONFIG.window_steps, CONTEXT, n_reference=12)
    tracks = [
        Track(features(), windows, n_steps, seed=3, reference=reference),
        Track(features(1), plan_windows(24, CONFIG.window_steps, CONTEXT), 24, seed=4),
        Track(features(1), plan_windows(90, CONFIG.window_steps, CONTEXT), 90, seed=5),
    ]
    alone = [compose_together(family, [track], SETTINGS, at_once=8)[0] for track in tracks]
    for at_once in (2, 8):
        beside = compose_together(family, tracks, SETTINGS, at_once=at_once)
        for one, other in zip(alone, beside, strict=True):
            torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)
    if n_steps == L:  # windows of the longest kind have no steps more than they need
        nothing = torch.zeros(L, 64), torch.zeros(L, dtype=torch.bool)
        whole = compose(
            family, features(), windows, SETTINGS, [3], context=nothing[0], context_mask=nothing[1], reference=reference
        )[0]
        first = windows[0].end_step
        torch.testing.assert_close(alone[0][:first], whole[:first], atol=2e-5, rtol=1e-4)

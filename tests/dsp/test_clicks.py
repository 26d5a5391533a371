"""Clicks: how far they stand out, that they are suppressed and that all else stays; in pieces as at once."""

from __future__ import annotations

import pytest
import torch

from foleycli.dsp.clicks import (
    FLOOR,
    HOP,
    MAX_PROMINENCE_DB,
    WINDOW_HOPS,
    apply_edge_fades,
    click_prominence_db,
    suppress_clicks,
)

RATE_HZ = 44100


def noise(seed: int, n: int = 1024 * 40) -> torch.Tensor:
    return 0.05 * torch.randn(1, n, generator=torch.Generator().manual_seed(seed))


def with_click(at: int, size: float = 0.9) -> torch.Tensor:
    samples = noise(0)
    samples[0, at : at + 8] += size * torch.tensor([1.0, -1.0] * 4)
    return samples


def test_a_click_stands_out_and_noise_does_not():
    prominence_db = click_prominence_db(with_click(20000), RATE_HZ, HOP, WINDOW_HOPS)[0]
    assert prominence_db.argmax().item() == pytest.approx(20000 / HOP, abs=WINDOW_HOPS)
    assert prominence_db.max() > 20
    assert click_prominence_db(noise(1), RATE_HZ, HOP, WINDOW_HOPS).max() < MAX_PROMINENCE_DB


def test_a_beginning_is_no_click():
    samples = noise(0)
    samples[:, :20000] = 0
    # Its beginning stands out of what was before, not of what comes after.
    assert click_prominence_db(samples, RATE_HZ, HOP, WINDOW_HOPS)[0, 2000:].max() < MAX_PROMINENCE_DB


def test_clicks_are_suppressed_and_all_else_stays():
    samples = with_click(20000)
    suppressed = suppress_clicks(samples, RATE_HZ)
    assert click_prominence_db(suppressed, RATE_HZ, HOP, WINDOW_HOPS).max() < MAX_PROMINENCE_DB + 2
    untouched = torch.ones(samples.shape[1], dtype=torch.bool)
    untouched[20000 - 100 : 20000 + 100] = False
    assert (suppressed - samples)[0, untouched].abs().max() < 1e-4
    assert torch.allclose(suppress_clicks(noise(1), RATE_HZ), noise(1), atol=1e-6)


def test_low_sound_under_a_click_goes_on():
    time_s = torch.arange(1024 * 40) / RATE_HZ
    low = 0.5 * torch.sin(2 * torch.pi * 80 * time_s)[None]
    suppressed = suppress_clicks(low + with_click(20000) - noise(0), RATE_HZ)
    assert (suppressed - low)[0, 19000:21000].abs().max() < 0.05  # the click was 0.9
    assert torch.allclose(suppressed[0, 100:19000], low[0, 100:19000], atol=1e-4)  # it begins with a kink


def test_faint_ticks_in_silence_stay():
    samples = torch.zeros(1, 8192)
    samples[0, 4000] = FLOOR
    assert torch.allclose(suppress_clicks(samples, RATE_HZ), samples, atol=FLOOR / 100)


@pytest.mark.parametrize("start", [8 * 1024, 20 * 1024])
def test_a_piece_of_the_track_is_treated_as_the_whole(start):
    samples = with_click(22000)
    whole, piece = suppress_clicks(samples, RATE_HZ), suppress_clicks(samples[:, start:], RATE_HZ)
    assert torch.allclose(whole[:, start + 1024 :], piece[:, 1024:], atol=1e-6)


@pytest.mark.parametrize("n", [8, 1024, 44100])
def test_edges_are_faded(n):
    samples = apply_edge_fades(torch.ones(2, n), RATE_HZ)
    assert samples.shape == (2, n) and samples[:, 0].abs().max() == 0 and samples[:, -1].abs().max() == 0
    assert torch.equal(samples[:, 45 : n - 45], torch.ones(2, max(0, n - 90)))

"""Guidance arithmetic."""

import pytest
import torch

from foleycli.sampling import guidance


def test_guided_velocity_moves_away_from_null():
    conditioned, null = torch.full((2, 3, 4), 5.0), torch.full((2, 3, 4), 2.0)
    both = torch.cat([conditioned, null])
    assert torch.equal(guidance.guide(both, 1.0), conditioned)
    assert torch.equal(guidance.guide(both, 0.0), null)
    assert torch.equal(guidance.guide(both, 4.0), torch.full((2, 3, 4), 14.0))


def test_twice_keeps_the_row_order_that_guide_reads():
    rows = torch.arange(3.0)[:, None, None]
    assert torch.equal(guidance.guide(guidance.twice(rows), 7.0), rows)


@pytest.mark.parametrize(
    ("asked", "n_steps", "used"),
    [(4.0, 2, 2.5), (4.0, 1, 2.5), (4.0, 4, 4.0), (4.0, 8, 4.0), (1.0, 2, 1.0), (0.5, 2, 0.5)],
)
def test_few_steps_are_guided_less(asked, n_steps, used):
    assert guidance.scale_at(asked, n_steps) == used


def test_words_are_weighed_apart_from_timing():
    told, null, wordless = (torch.full((2, 3, 4), value) for value in (5.0, 2.0, 3.0))
    passes = torch.cat([told, null, wordless])
    assert torch.equal(guidance.guide_words(passes, 4.0, 10.0), torch.full((2, 3, 4), 2.0 + 4.0 * 1.0 + 10.0 * 2.0))
    assert torch.equal(guidance.guide_words(passes, 4.0, 4.0), guidance.guide(torch.cat([told, null]), 4.0))

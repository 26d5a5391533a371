"""Guidance arithmetic."""

import pytest
import torch

from foleycli.sampling import guidance


def test_guided_velocity_moves_away_from_the_unconditional_one():
    conditional, unconditional = torch.full((2, 3, 4), 5.0), torch.full((2, 3, 4), 2.0)
    both = torch.cat([conditional, unconditional])
    assert torch.equal(guidance.guide(both, 1.0), conditional)
    assert torch.equal(guidance.guide(both, 0.0), unconditional)
    assert torch.equal(guidance.guide(both, 4.0), torch.full((2, 3, 4), 14.0))


def test_repeated_rows_keep_the_row_order_that_guide_reads():
    rows = torch.arange(3.0)[:, None, None]
    assert torch.equal(guidance.guide(guidance.repeat_rows(rows, 2), 7.0), rows)


@pytest.mark.parametrize(
    ("asked", "n_steps", "used"),
    [(4.0, 2, 2.5), (4.0, 1, 2.5), (4.0, 4, 4.0), (4.0, 8, 4.0), (1.0, 2, 1.0), (0.5, 2, 0.5)],
)
def test_few_steps_are_guided_less(asked, n_steps, used):
    assert guidance.scale_for_steps(asked, n_steps) == used


def test_words_are_weighed_apart_from_timing():
    conditional, unconditional, text_free = (torch.full((2, 3, 4), value) for value in (5.0, 2.0, 3.0))
    passes = torch.cat([conditional, unconditional, text_free])
    assert torch.equal(guidance.guide_words(passes, 4.0, 10.0), torch.full((2, 3, 4), 2.0 + 4.0 * 1.0 + 10.0 * 2.0))
    assert torch.equal(
        guidance.guide_words(passes, 4.0, 4.0), guidance.guide(torch.cat([conditional, unconditional]), 4.0)
    )

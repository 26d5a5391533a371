"""Time grids: ends, order, and step sizes that a shortcut model knows."""

import math

import pytest

from foleycli.sampling import times


@pytest.mark.parametrize("n_steps", range(1, 65))
def test_shortcut_grid_has_trained_sizes_on_trained_times(n_steps):
    grid = times.shortcut(n_steps)
    assert len(grid) == n_steps + 1
    assert grid[0] == 0.0 and grid[-1] == 1.0
    for start, end in zip(grid, grid[1:], strict=False):
        size = end - start
        assert math.log2(size).is_integer() and size >= 1 / 64
        assert (start / size).is_integer()


def test_short_steps_come_first():
    assert times.shortcut(6) == [0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0]
    assert times.shortcut(4) == times.uniform(4) == [0.0, 0.25, 0.5, 0.75, 1.0]

"""Every step is made exactly once, whatever the lengths and cuts."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foleycli.windows.plan import plan_span, plan_windows, repeated_steps


@st.composite
def plans(draw: st.DrawFn) -> tuple[int, int, int, dict[str, Any]]:
    n_steps = draw(st.integers(1, 3000))
    window_steps = draw(st.integers(2, 500))
    n_context = draw(st.integers(0, window_steps - 1))
    cuts = draw(st.lists(st.integers(-5, 3005), max_size=8))
    n_reference = draw(st.integers(0, window_steps - 1))
    n_repeated = draw(st.integers(0, window_steps - n_context - 1))
    return n_steps, window_steps, n_context, {"cut_steps": cuts, "n_reference": n_reference, "n_repeated": n_repeated}


@given(plans())
def test_every_step_is_made_exactly_once_in_order(plan) -> None:
    n_steps, window_steps, n_context, more = plan
    windows = plan_windows(n_steps, window_steps, n_context, **more)
    made = [step for window in windows for step in range(window.start_step + window.n_context, window.end_step)]
    assert made == list(range(n_steps))
    assert [window.index for window in windows] == list(range(len(windows)))


@given(plans())
def test_windows_fit_and_carry_the_context_within_their_shot(plan) -> None:
    n_steps, window_steps, n_context, more = plan
    cuts, n_reference, n_repeated = more.values()
    shots = {0, *(cut for cut in cuts if 0 < cut < n_steps)}
    for window in plan_windows(n_steps, window_steps, n_context, **more):
        first_made = window.start_step + window.n_context
        shot = max(cut for cut in shots if cut <= first_made)
        is_first = first_made == shot
        assert window.n_context == min(n_context, first_made - shot)
        assert window.start_step >= shot
        assert window.n_reference == (n_reference if is_first else n_repeated)
        assert window.n_steps <= window_steps - window.n_reference
        assert not any(first_made < cut < window.end_step for cut in shots)


@pytest.mark.parametrize(
    ("n_reference", "grid", "whole", "steps"),
    [(86, 0, False, 43), (30, 0, False, 30), (0, 0, False, 0), (86, 10, False, 0), (86, 0, True, 0)],
)
def test_a_fifth_of_a_window_is_for_a_repeated_reference(n_reference, grid, whole, steps) -> None:
    assert repeated_steps(n_reference, 215, Fraction(grid), whole) == steps


def test_half_second_contexts_of_a_long_clip() -> None:
    windows = plan_windows(430, 215, 22)
    assert [(w.start_step, w.n_steps, w.n_context) for w in windows] == [(0, 215, 0), (193, 215, 22), (386, 44, 22)]


@pytest.mark.parametrize("plan", [(0, 10, 0), (5, 10, 10), (5, 10, -1), (5, 10, 0, 10)])
def test_plans_that_make_nothing_are_refused(plan) -> None:
    n_steps, window_steps, n_context, *n_reference = plan
    with pytest.raises(ValueError, match="no windows"):
        plan_windows(n_steps, window_steps, n_context, n_reference=n_reference[0] if n_reference else 0)


@pytest.mark.parametrize("n_context", [0, 13, 26, 43, 86, 110])
def test_windows_begin_on_the_grid_however_long_the_clip(n_context):
    grid = Fraction(16, 25) * Fraction(44100, 512)  # V-AURA's segments of 0.64 s: 55.125 steps
    windows = plan_windows(60_000, 220, n_context, grid_steps=grid)
    made = 0
    for window in windows:
        assert window.start_step + window.n_context == made and window.n_steps <= 220
        made = window.end_step
        if n_context:
            assert abs(window.start_step - round(window.start_step / grid) * grid) <= Fraction(1, 2)
            assert window.index == 0 or 0.75 * n_context - 1 <= window.n_context <= 0.75 * n_context + grid + 1
        else:
            assert window.n_context == 0
    assert made == 60_000


def test_nothing_before_a_cut_is_carried_over_for_the_grid():
    windows = plan_windows(500, 220, 43, cut_steps=[230], grid_steps=Fraction(441, 8))
    after = [window for window in windows if window.start_step >= 230]
    assert after[0].start_step == 230 and after[0].n_context == 0
    assert all(window.end_step <= 230 or window.start_step >= 230 for window in windows)


def test_a_grid_too_wide_for_the_window_is_refused():
    with pytest.raises(ValueError, match="multiples"):
        plan_windows(500, 60, 10, grid_steps=Fraction(55))


@pytest.mark.parametrize("grid", [Fraction(0), Fraction(10), Fraction(11025 * 8, 256 * 25)])
@pytest.mark.parametrize("n_steps", [100, 345, 346, 400, 700, 1033, 9999])
def test_whole_windows_are_all_as_long_as_the_shot_allows(n_steps, grid):
    windows = plan_windows(n_steps, 345, 69, grid_steps=grid, whole=True)
    made = [step for window in windows for step in range(window.start_step + window.n_context, window.end_step)]
    assert made == list(range(n_steps)) and windows[-1].end_step == n_steps
    assert all(min(n_steps, 345) - grid <= window.n_steps <= 345 for window in windows)


def test_whole_windows_do_not_reach_into_another_shot():
    windows = plan_windows(800, 345, 69, cut_steps=[420, 500], whole=True)
    assert [(window.start_step, window.end_step) for window in windows] == [(0, 345), (75, 420), (420, 500), (500, 800)]


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, int, int, dict[str, Any]]:
    n_steps = draw(st.integers(1, 2000))
    window_steps = draw(st.integers(30, 300))
    first = draw(st.integers(0, n_steps - 1))
    more = {
        "span": (first, draw(st.integers(first + 1, n_steps))),
        "cut_steps": draw(st.lists(st.integers(0, 2000), max_size=5)),
        "n_reference": draw(st.integers(0, window_steps // 2)),
        "n_repeated": draw(st.integers(0, window_steps // 5)),
        "grid_steps": draw(st.sampled_from([Fraction(0), Fraction(7, 3), Fraction(5, 2)])),
    }
    return n_steps, window_steps, draw(st.integers(0, window_steps // 4)), more


@given(spans())
def test_a_span_is_made_once_in_order_by_windows_within_its_shots(plan) -> None:
    n_steps, window_steps, n_context, more = plan
    first, end = more["span"]
    known = [not first <= step < end for step in range(n_steps)]
    edges = sorted({0, n_steps, *(cut for cut in more["cut_steps"] if 0 < cut < n_steps)})
    for window in plan_span(n_steps, window_steps, n_context, **more):
        assert 0 < window.n_steps <= window_steps - window.n_reference
        shot = max(edge for edge in edges if edge <= window.start_step + window.n_context)
        assert shot <= window.start_step and window.end_step <= min(edge for edge in edges if edge > shot)
        made = [step for step in range(window.start_step, window.end_step) if not known[step]]
        assert made and made[0] == window.start_step + window.n_context
        for step in made:
            known[step] = True
    assert all(known)


def test_a_span_lies_in_the_middle_of_a_window_and_its_end_is_followed_by_what_is_known() -> None:
    (window,) = plan_span(1000, 215, 22, span=(400, 443))
    assert (window.start_step, window.n_steps, window.n_context) == (314, 215, 86)
    *earlier, last = plan_span(1000, 215, 22, span=(100, 600))
    assert last.end_step >= 622 and all(window.end_step < 600 for window in earlier)
    assert [window.end_step for window in plan_span(1000, 215, 22, span=(990, 1000))] == [1000]

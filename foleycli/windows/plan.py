"""A duration and scene cuts in, windows on the latent axis out.  Arithmetic only.

    |<------------- window 0 ------------->|
                                    |ctx|<------------ window 1 ------------>|
                                                                      |ctx|<---- window 2 ...

A shot is the time between two scene cuts.  Every window but a shot's first opens with `n_context` steps of the window
before it (SALSA-V, arXiv 2510.02916, Algorithm 1); nothing is carried over a scene cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from foleycli.records import Window

REPEATED_SHARE = Fraction(1, 5)  # of a later window that a repeated reference may take: 1 s of SALSA-V's five


def plan_windows(
    n_steps: int,
    window_steps: int,
    n_context: int,
    *,
    cut_steps: Sequence[int] = (),
    n_reference: int = 0,
    n_repeated: int = 0,
    grid_steps: Fraction = Fraction(0),
    whole: bool = False,
) -> list[Window]:
    """Windows that generate every step of [0, n_steps) exactly once, none longer than `window_steps`.

    n_context    steps that each window takes from the one before, within a shot
    cut_steps    steps at which a new shot begins
    n_reference  steps that a shot's first window leaves free, for a reference before it
    n_repeated   steps that a shot's later windows leave free, for the reference to be repeated: see `repeated_steps`
    grid_steps   where not 0: windows with context begin at multiples of it, as near to `n_context` as that allows
    whole        a shot's last window reaches back until it is as long as the others, where the shot is
    Errors: ValueError when a window would generate nothing new.
    """
    if n_steps < 1 or not 0 <= n_context < window_steps - n_repeated or not 0 <= n_reference < window_steps:
        raise ValueError(
            f"no windows of {window_steps} steps with {n_context} of context and {n_reference} of reference "
            f"over {n_steps} steps"
        )
    if grid_steps and n_context + grid_steps >= window_steps:
        raise ValueError(f"windows of {window_steps} steps cannot begin at multiples of {grid_steps}")
    edges = [0, *sorted({step for step in cut_steps if 0 < step < n_steps}), n_steps]
    windows: list[Window] = []
    for first, end in zip(edges, edges[1:], strict=False):
        done = first  # up to here the shot is generated
        while done < end:
            context = _context_steps(done, first, n_context, grid_steps)
            if whole and done > first:
                context = max(context, done - _whole_start(first, end - window_steps, grid_steps))
            n_free = n_reference if done == first else n_repeated
            length = min(window_steps - n_free, end - done + context)
            windows.append(
                Window(
                    index=len(windows),
                    start_step=done - context,
                    n_steps=length,
                    n_context=context,
                    n_reference=n_free,
                )
            )
            done += length - context
    return windows


def plan_span(
    n_steps: int,
    window_steps: int,
    n_context: int,
    *,
    span: tuple[int, int],
    cut_steps: Sequence[int] = (),
    n_reference: int = 0,
    n_repeated: int = 0,
    grid_steps: Fraction = Fraction(0),
) -> list[Window]:
    """Windows that generate the steps [first, end) of `span` anew, the track around them being known.

    A window is as long as the shot allows and has the span in its middle, so that as much is known after it as before
    it.  Of a longer span, earlier windows end within it, each with up to `n_context` known steps before what it
    generates; the last one always sees what comes after.  For the other arguments see `plan_windows`.
    """
    edges = [0, *sorted({step for step in cut_steps if 0 < step < n_steps}), n_steps]
    windows: list[Window] = []
    for shot_first, shot_end in zip(edges, edges[1:], strict=False):
        done, end = max(span[0], shot_first), min(span[1], shot_end)
        while done < end:
            n_free = n_reference if done == shot_first else n_repeated
            longest = window_steps - n_free
            context = min(n_context, longest // 4)
            before, after = min(context, done - shot_first), min(context, shot_end - end)
            is_last = before + (end - done) + after + 2 * grid_steps <= longest
            start = done - ((longest - (end - done)) // 2 if is_last else before)
            start = _on_grid(min(start, max(done - before, shot_end - longest)), grid_steps, shot_first)
            if is_last and start + longest < end:  # the grid begins it too early
                start = _on_grid(start + math.ceil(grid_steps), grid_steps, shot_first)
            stop = min(start + longest, shot_end if is_last else end - 1)
            if stop <= done:
                raise ValueError(f"windows of {window_steps} steps cannot begin at multiples of {grid_steps}")
            windows.append(
                Window(
                    index=len(windows),
                    start_step=start,
                    n_steps=stop - start,
                    n_context=done - start,
                    n_reference=n_free,
                )
            )
            done = min(stop, end)
    return windows


def _on_grid(step: int, grid_steps: Fraction, first: int) -> int:
    """The last step of the grid that is not after `step`, nor before the shot's first."""
    return max(first, round(step // grid_steps * grid_steps)) if grid_steps else max(first, step)


def repeated_steps(n_reference: int, window_steps: int, grid: Fraction, whole: bool) -> int:
    """How much of a reference is repeated before a shot's later windows: `plan_windows`' `n_repeated`.

    Where a short context holds no hit, only the reference says how one sounds.  Families with windows on a grid, or
    all of one length, were not trained on such windows.
    """
    return 0 if grid or whole else min(n_reference, int(window_steps * REPEATED_SHARE))


def _context_steps(done: int, first: int, n_context: int, grid_steps: Fraction) -> int:
    """How far a window reaches back from the step `done`; on a grid, three quarters of `n_context` or more."""
    context = min(n_context, done - first)
    if not grid_steps or not context:
        return context
    start = (done - Fraction(3, 4) * context) // grid_steps * grid_steps
    return done - max(first, round(start))


def _whole_start(first: int, earliest: int, grid_steps: Fraction) -> int:
    """Where a whole window begins that ends with its shot: within the shot, on the grid at or after `earliest`."""
    if earliest <= first or not grid_steps:
        return max(first, earliest)
    return round(-(-earliest // grid_steps) * grid_steps)

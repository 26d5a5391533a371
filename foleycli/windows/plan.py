"""A duration and scene cuts in, windows on the latent axis out.  Arithmetic only.

    |<------------- window 0 ------------->|
                                    |ctx|<------------ window 1 ------------>|
                                                                      |ctx|<---- window 2 ...

Every window but a shot's first opens with `n_context` steps that the window before has made (SALSA-V's
long-form algorithm, papers.md 1.9).  After a scene cut nothing is carried over.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from foleycli.records import Window

HEARD_AGAIN = Fraction(1, 5)  # of a later window at most: 1 s of SALSA-V's five


def plan_windows(
    n_steps: int,
    window_steps: int,
    n_context: int,
    cut_steps: Sequence[int] = (),
    n_reference: int = 0,
    grid_steps: Fraction = Fraction(0),
    whole: bool = False,
    n_again: int = 0,
) -> list[Window]:
    """Windows that make every step of [0, n_steps) exactly once, none longer than `window_steps`.

    cut_steps     steps at which a new shot begins
    n_reference   steps that a shot's first window leaves free, for a reference to stand before it
    grid_steps    where not 0: windows with context begin at multiples of it, as near to `n_context` as that allows
    whole         a shot's last window reaches back until it is as long as the others, where the shot is
    n_again       steps that a shot's later windows leave free, for the reference to be heard again
    Errors: ValueError when a window would make nothing new.
    """
    if n_steps < 1 or not 0 <= n_context < window_steps - n_again or not 0 <= n_reference < window_steps:
        raise ValueError(
            f"no windows of {window_steps} steps with {n_context} of context and {n_reference} of reference "
            f"over {n_steps} steps"
        )
    if grid_steps and n_context + grid_steps >= window_steps:
        raise ValueError(f"windows of {window_steps} steps cannot begin at multiples of {grid_steps}")
    edges = [0, *sorted({step for step in cut_steps if 0 < step < n_steps}), n_steps]
    windows: list[Window] = []
    for first, end in zip(edges, edges[1:], strict=False):
        _append_shot(windows, (first, end), window_steps, n_context, n_reference, n_again, grid_steps, whole)
    return windows


def windows_for(
    n_steps: int,
    window_steps: int,
    rate_hz: Fraction,
    context_s: float,
    n_reference: int = 0,
    cut_steps: Sequence[int] = (),
    grid_s: Fraction = Fraction(0),
    whole: bool = False,
    is_heard_again: bool = True,
) -> list[Window]:
    """`plan_windows` as a render and its dry run ask for it: half a window at most for context, and for a reference.

    A reference is heard again before later windows, unless the context says enough.
    """
    n_context, n_reference = min(round(context_s * rate_hz), window_steps // 2), min(n_reference, window_steps // 2)
    n_again = steps_heard_again(n_reference, window_steps, grid_s, whole) if is_heard_again else 0
    return plan_windows(n_steps, window_steps, n_context, cut_steps, n_reference, grid_s * rate_hz, whole, n_again)


def steps_heard_again(n_reference: int, window_steps: int, grid: Fraction, whole: bool) -> int:
    """How much of a reference stands before a shot's later windows too: `plan_windows`' `n_again`.

    Where a little context holds no hit, only the reference says how one sounds.  Families on a grid of windows, or
    with whole ones, have learnt no such windows.
    """
    return 0 if grid or whole else min(n_reference, int(window_steps * HEARD_AGAIN))


def _append_shot(
    windows: list[Window],
    shot: tuple[int, int],
    window_steps: int,
    n_context: int,
    n_reference: int,
    n_again: int,
    grid_steps: Fraction,
    whole: bool,
) -> None:
    """The windows of one shot; the last one is as short as what is left (or `whole`), with the usual context."""
    first, end = shot
    made = first
    while made < end:
        context = _context(made, first, n_context, grid_steps)
        if whole and made > first:
            context = max(context, made - _whole_start(first, end - window_steps, grid_steps))
        held = n_reference if made == first else n_again
        n_steps = min(window_steps - held, end - made + context)
        windows.append(Window(len(windows), made - context, n_steps, context, held))
        made += n_steps - context


def _context(made: int, first: int, n_context: int, grid_steps: Fraction) -> int:
    """How far a window reaches back from the step `made`; on a grid at least three quarters of what is asked."""
    context = min(n_context, made - first)
    if not grid_steps or not context:
        return context
    start = (made - Fraction(3, 4) * context) // grid_steps * grid_steps
    return made - max(first, round(start))


def _whole_start(first: int, earliest: int, grid_steps: Fraction) -> int:
    """Where a window begins that ends with its shot: on the grid, not before the shot, hardly shorter than others."""
    if earliest <= first or not grid_steps:
        return max(first, earliest)
    return round(-(-earliest // grid_steps) * grid_steps)

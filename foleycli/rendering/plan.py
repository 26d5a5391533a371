"""How a sound will be generated: its length on the latent axis and the windows that cover it.  Arithmetic only.

The dry run and the render itself ask the same function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from foleycli.records import Window
from foleycli.settings.settings import Settings, setting_fields
from foleycli.timebase import step_at, steps_to_cover
from foleycli.windows.plan import plan_windows, repeated_steps


class WindowSpec(Protocol):
    """What windows depend on of a model: `families.spec.FamilySpec` has it."""

    @property
    def latent_rate_hz(self) -> Fraction: ...
    @property
    def window_steps(self) -> int: ...
    @property
    def window_grid_s(self) -> Fraction: ...
    @property
    def whole_windows(self) -> bool: ...


@dataclass(frozen=True)
class RenderPlan:
    """What is known before the sampler begins."""

    duration_s: float
    n_steps: int  # of the latent track
    windows: list[Window]


def plan_render(
    duration_s: float | Fraction,
    spec: WindowSpec,
    settings: Settings,
    *,
    cuts_s: Sequence[float] = (),
    n_reference: int = 0,
    repeat_reference: bool = True,
    n_steps: int | None = None,
) -> RenderPlan:
    """The windows of a sound of `duration_s`, by the settings' context and the scene cuts.

    n_reference       latent steps of the reference before the first window; 0: there is none
    repeat_reference  whether it comes before later windows too, as far as they have room
    n_steps           length of the track where it is not just what covers `duration_s`
    """
    rate_hz = spec.latent_rate_hz
    n_steps = steps_to_cover(float(duration_s), rate_hz) if n_steps is None else n_steps
    half = spec.window_steps // 2  # neither context nor reference takes more of a window
    n_reference = min(n_reference, half)
    n_repeated = repeated_steps(n_reference, spec.window_steps, spec.window_grid_s, spec.whole_windows)
    windows = plan_windows(
        n_steps,
        spec.window_steps,
        min(round(settings.context_s * rate_hz), half),
        cut_steps=[step_at(cut_s, rate_hz) for cut_s in cuts_s],
        n_reference=n_reference,
        n_repeated=n_repeated if repeat_reference else 0,
        grid_steps=spec.window_grid_s * rate_hz,
        whole=spec.whole_windows,
    )
    return RenderPlan(float(duration_s), n_steps, windows)


def seeds_from(first_seed: int, n_takes: int) -> list[int]:
    """A seed for each take, from `first_seed` on; after the greatest comes 0."""
    n_seeds = setting_fields()["seed"].metadata["high"] + 1
    return [(first_seed + k) % n_seeds for k in range(n_takes)]

"""What `--dry-run` tells: a checked job and a model folder in, windows, device and expected cost out.

Reads the model's config.json, never its weights.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foleycli.rendering import cost as speed
from foleycli.timebase import steps_to_cover
from foleycli.windows.plan import windows_for

if TYPE_CHECKING:
    from foleycli.cli.work import Job

EXTRA_S = 10.0  # `extend` without --duration


@dataclass(frozen=True)
class Plan:
    """One line per fact of `--dry-run`; the expected figures are estimates from foleycli/rendering/cost.py, or None."""

    out: str
    takes: int
    outs: list[str]  # the files that are written
    duration_s: float
    model: str
    device: str
    dtype: str
    steps: int
    windows: int  # where no scene cut falls; each cut can add one
    window_s: float
    context_s: float
    expected_s: float | None  # None: this model was never measured on this device
    expected_memory_mb: float | None
    settings: dict[str, Any]


def make(job: Job, folder: Path, device: str, dtype: str) -> Plan:
    """Plan a job; errors: FoleyError for a device that is not there."""
    from foleycli.device import choose_device, choose_dtype
    from foleycli.weights.folder import read_config

    config = read_config(folder)
    chosen = choose_device(device)
    length_s = made_s(job)
    rate_hz, window_steps, grid_s, whole = _grid(config)
    reference_s = given_s(job)
    n_reference = steps_to_cover(reference_s, rate_hz) if reference_s else 0
    n_steps, context_s = steps_to_cover(length_s, rate_hz), job.settings.context_s
    windows = windows_for(n_steps, window_steps, rate_hz, context_s, n_reference, grid_s=grid_s, whole=whole)
    takes, outs = takes_of(job)
    costs = speed.measured(config.get("family", ""), _width(config), chosen.type)
    return Plan(
        out=str(job.out),
        takes=takes,
        outs=list(map(str, outs)),
        duration_s=round(length_s, 3),
        model=config.get("name", folder.name),
        device=str(chosen),
        dtype=str(choose_dtype(dtype, chosen)).removeprefix("torch."),
        steps=job.settings.steps,
        windows=len(windows),
        window_s=round(float(window_steps / rate_hz), 2),
        context_s=job.settings.context_s,
        expected_s=round(speed.estimate(costs, length_s, job.settings.steps, takes), 1) if costs else None,
        expected_memory_mb=speed.peak_mb(costs, takes) if costs else None,
        settings=asdict(job.settings),
    )


def given_s(job: Job) -> float:
    """Seconds of a sound that will stand before the first window: given, or found by the prompt."""
    from foleycli.media.probe import probe_audio
    from foleycli.rendering.render import RenderJob, recording_for

    if not isinstance(job, RenderJob):
        return 0.0
    path = job.reference or recording_for(job.settings, [], job.sounds)
    return min(job.settings.ref_s, probe_audio(path)[0] - (job.ref_start_s or 0.0)) if path else 0.0


def takes_of(job: Job) -> tuple[int, list[Path]]:
    """How many takes are made, and the files of those that are kept."""
    from foleycli.rendering.render import RenderJob

    return (job.takes, job.outs) if isinstance(job, RenderJob) else (1, [job.out])


def made_s(job: Job) -> float:
    """Seconds of sound that the job makes or carries on."""
    from foleycli.media.probe import probe_audio
    from foleycli.rendering.render import RenderJob

    if isinstance(job, RenderJob):
        left_s = job.video.duration_s - job.start_s
        return left_s if job.duration_s is None else min(left_s, job.duration_s)
    if job.video is not None:
        return job.video.duration_s
    return job.duration_s or probe_audio(job.take)[0] + EXTRA_S


def _grid(config: dict[str, Any]) -> tuple[Fraction, int, Fraction, bool]:
    """Of a family's configuration: latent steps per second, steps per window, where windows may begin (every so
    many seconds; 0: anywhere), and whether all are of one length."""
    network = config.get("network", {})
    if config.get("family") == "mmaudio":  # a published network's name stands for its numbers
        from foleycli.families.mmaudio.config import SEGMENT_RATE_HZ, config_of

        shape = config_of(network)
        return shape.latent_rate_hz, shape.window_steps, 1 / SEGMENT_RATE_HZ, True
    rate_hz = Fraction(network.get("latent_rate_hz", "11025/256"))
    return rate_hz, int(network.get("window_steps", 431)), Fraction(network.get("window_grid_s", 0)), False


def _width(config: dict[str, Any]) -> int | None:
    network = config.get("network", {})
    return network.get("width") if isinstance(network, dict) else None


def text(plan: Plan, source: Path) -> str:
    """The plan for people, on a few lines."""
    return "\n".join(
        (
            f"{source} -> {_files(plan)}",
            *_takes(plan),
            f"  sound     {plan.duration_s:g} s in {plan.windows} windows of up to {plan.window_s:g} s, "
            f"each going on from {plan.context_s:g} s of the last (a scene cut can add one)",
            f"  model     {plan.model}, {plan.steps} steps, on {plan.device} in {plan.dtype}",
            f"  expected  {_expected(plan)}",
        )
    )


def _expected(plan: Plan) -> str:
    if plan.expected_s is None:
        return f"unknown: {plan.model} was never measured on {plan.device} (foley bench --model {plan.model})"
    memory = f" and {plan.expected_memory_mb:.0f} MB" if plan.expected_memory_mb else ""
    return f"about {plan.expected_s:.0f} s{memory} (an estimate)"


def _files(plan: Plan) -> str:
    return plan.outs[0] if len(plan.outs) == 1 else f"{plan.outs[0]} … {plan.outs[-1]}"


def _takes(plan: Plan) -> list[str]:
    """The line about takes, where there are several."""
    if plan.takes == 1:
        return []
    kept = "the best one is kept" if len(plan.outs) == 1 else "all are kept, take1 fits the picture best"
    return [f"  takes     {plan.takes}, with the seeds from {plan.settings['seed']} on; {kept}"]

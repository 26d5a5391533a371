"""What `--dry-run` shows: a checked job and a model folder in, windows, device and expected cost out.

Reads the model's config.json, never its weights.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foleycli.cli import console
from foleycli.rendering import cost

if TYPE_CHECKING:
    from foleycli.cli.jobs import Job


@dataclass(frozen=True)
class DryRun:
    """One line per fact of `--dry-run`; the expected figures are estimates from foleycli/rendering/cost.py, or None."""

    out: str
    takes: int
    outs: list[str]  # the files that are written
    stems: list[str]  # beside them, and whom to credit
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
    heard: str  # what makes the sound: the model, recordings that match the prompt, room tone
    settings: dict[str, Any]
    cues: list[dict[str, Any]]  # each as it will be made, and what will be heard
    notes: list[str]  # what the user should know before the work: streams that are left out, hidden pictures


def make(job: Job, folder: Path, device: str, dtype: str) -> DryRun:
    """Plan a job; errors: FoleyError for a device that is not there, or a model that this version does not know."""
    from foleycli.device import name_device
    from foleycli.families import spec_from_config
    from foleycli.weights.config import CONFIG_NAME, naming, read_config

    config = read_config(folder)
    device_name, dtype_name = name_device(device, dtype, config.cpu_bfloat16)
    with naming(folder / CONFIG_NAME):
        spec, steps = spec_from_config(config), job.settings.steps
    plan = job.plan(spec)
    costs = cost.measured(spec.name, spec.width, device_name.split(":")[0])
    return DryRun(
        out=str(job.out),
        takes=job.takes,
        outs=list(map(str, job.results())),
        stems=[str(path) for path in job.outputs() if path not in job.results()],
        duration_s=round(plan.duration_s, 3),
        model=config.name or folder.name,
        device=device_name,
        dtype=dtype_name,
        steps=steps,
        windows=len(plan.windows),
        window_s=round(float(spec.window_steps / spec.latent_rate_hz), 2),
        context_s=job.settings.context_s,
        expected_s=round(cost.estimate(costs, plan.duration_s, steps, job.takes), 1) if costs else None,
        expected_memory_mb=cost.peak_mb(costs, job.takes) if costs else None,
        heard=job.heard(),
        settings=asdict(job.settings),
        cues=job.heard_by_cue(),
        notes=list(job.foretell()),
    )


def show(plan: DryRun, source: Path, as_json: bool) -> None:
    """A plan on stdout."""
    if as_json:
        console.result_json({"input": str(source), **asdict(plan)})
    else:
        console.result(text(plan, source))


def text(plan: DryRun, source: Path) -> str:
    """The plan for people, on a few lines."""
    windows = console.count(plan.windows, "window")
    return "\n".join(
        (
            f"{source} -> {_files(plan)}",
            *_takes(plan),
            *_stems(plan),
            f"  sound     {plan.duration_s:g} s in {windows} of up to {plan.window_s:g} s, "
            f"each going on from {plan.context_s:g} s of the last (a scene cut can add one)",
            f"  heard     {plan.heard}",
            f"  model     {plan.model}, {plan.steps} steps, on {plan.device} in {plan.dtype}",
            f"  expected  {_expected(plan)}",
            *(_cue(cue) for cue in plan.cues),
            *(f"  note      {note}" for note in plan.notes),
        )
    )


def _expected(plan: DryRun) -> str:
    if plan.expected_s is None:
        return f"unknown: {plan.model} was never measured on {plan.device} (foley bench --model {plan.model})"
    memory = f" and {plan.expected_memory_mb:.0f} MB" if plan.expected_memory_mb else ""
    return f"about {plan.expected_s:.0f} s{memory} (an estimate)"


def _files(plan: DryRun) -> str:
    return plan.outs[0] if len(plan.outs) == 1 else f"{plan.outs[0]} … {plan.outs[-1]}"


def _cue(cue: dict[str, Any]) -> str:
    """The line about a cue."""
    facts = [f"seed {cue['seed']}"] if cue["heard"] != "silence" else []
    facts += [console.count(cue["takes"], "take")] if cue["takes"] > 1 else []
    facts += [console.count(cue["hits"], "hit")] if cue["hits"] is not None else []
    words = f"{cue['prompt']!r}: " if cue["prompt"] else ""
    return (
        f"  cue {cue['number']:<5} {cue['in']} to {cue['out']}  {words}{cue['heard']} ({', '.join(facts) or 'muted'})"
    )


def _takes(plan: DryRun) -> list[str]:
    """The line about takes, where there are several."""
    if plan.takes == 1:
        return []
    if plan.stems:
        return [f"  takes     {plan.takes} of each cue, the first is in the mix"]
    kept = "the best one is kept" if len(plan.outs) == 1 else "all are kept, take1 fits the picture best"
    return [f"  takes     {plan.takes}, with the seeds from {plan.settings['seed']} on; {kept}"]


def _stems(plan: DryRun) -> list[str]:
    """The line about stems, where there are some."""
    if not plan.stems:
        return []
    names = [Path(path).name for path in plan.stems]
    return [f"  stems     {console.count(len(names), 'file')} in {Path(plan.stems[0]).parent}: {', '.join(names)}"]

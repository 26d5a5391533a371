"""Time the main path stage by stage: a clip and a model in, one row per number of steps and the machine out."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foleycli import __version__
from foleycli.media.ffmpeg import ffmpeg_version
from foleycli.media.probe import probe
from foleycli.models.compile import compile_network
from foleycli.models.model import Model
from foleycli.records import Report, silent
from foleycli.rendering import cost as speed
from foleycli.rendering.job import RenderJob
from foleycli.settings.settings import Settings
from foleycli.threads import usable_cpus

STAGES = ("decode", "features", "sampler", "codec", "mux")
STEPS = (4, 8, 32)


@dataclass(frozen=True)
class Row:
    """One render, timed."""

    steps: int
    video_s: float
    stage_s: dict[str, float]
    wall_s: float  # end to end, without loading the model
    cpu_s: float  # of this process and of those it started; decoding and features overlap
    peak_memory_mb: float  # of the process so far; on CUDA, of the device in this run

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of video: below 1 is faster than real time."""
        return self.wall_s / self.video_s

    @property
    def shares(self) -> dict[str, float]:
        """The part of `wall_s` that each stage took, and "rest": what is in none of them."""
        parts = {stage: round(spent_s / self.wall_s, 4) for stage, spent_s in self.stage_s.items()}
        return {**parts, "rest": round(max(0.0, 1 - sum(parts.values())), 4)}


@dataclass(frozen=True)
class Machine:
    """What the times depend on."""

    cpu: str  # the processor's name
    usable_cpus: int  # by affinity and quota
    threads: int  # of torch
    gpu: str  # "": it is not used
    versions: dict[str, str]  # of foley, Python, torch, NumPy, PyAV and ffmpeg


def machine_of(model: Model) -> Machine:
    """The machine that this process runs on, with the device of a model."""
    import av
    import numpy as np
    import torch

    is_cuda = model.device.type == "cuda"
    return Machine(
        cpu=_cpu_name(),
        usable_cpus=usable_cpus(),
        threads=torch.get_num_threads(),
        gpu=torch.cuda.get_device_name(model.device) if is_cuda else "",
        versions={
            "foley": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "av": av.__version__,
            "ffmpeg": ffmpeg_version(),
        },
    )


def _cpu_name(cpu_info: Path = Path("/proc/cpuinfo")) -> str:
    try:
        named = re.search(r"^model name\s*: *(.*)$", cpu_info.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:  # not Linux
        named = None
    return named[1] if named else platform.processor() or platform.machine()


@dataclass(frozen=True)
class Bench:
    """All rows of one bench, and the line for foleycli/rendering/cost.py that follows from them."""

    model: str
    device: str
    load_s: float
    rows: list[Row]
    speed: speed.Speed
    machine: Machine
    dtype: str = "float32"
    compiled: bool = False
    random_weights: bool = False  # times are those of real ones, the sound is noise
    without_encoders: bool = False  # "features" is what it takes to prepare the pictures alone


def run(
    clip: Path,
    load: Callable[[], Model],
    steps: Sequence[int] = STEPS,
    settings: Settings | None = None,
    *,
    compiled: bool = False,
    random_weights: bool = False,
    without_encoders: bool = False,
    report: Report = silent,
) -> Bench:
    """Render the clip once for every number of steps, with the model that `load` gives; what is first is not timed.

    `random_weights` and `without_encoders` say what kind of model `load` gives.
    """
    begun_s = time.perf_counter()
    model = load()
    load_s = time.perf_counter() - begun_s
    if compiled:
        compile_network(model)
    with tempfile.TemporaryDirectory(prefix="foley-bench-") as scratch:
        job = RenderJob(probe(clip), Path(scratch) / f"out{_ending(clip)}", settings or Settings())
        _warm_up(job, model, steps if compiled else ())
        rows = []
        for index, n in enumerate(steps):
            report("bench", index, len(steps))
            rows.append(_once(job, model, n))
        report("bench", len(steps), len(steps))
    line = speed.fit(
        load_s,
        [(row.steps, row.stage_s, row.video_s) for row in rows],
        max(row.peak_memory_mb for row in rows),
    )
    dtype = str(model.dtype).removeprefix("torch.")
    return Bench(
        model=model.name,
        device=str(model.device),
        load_s=load_s,
        rows=rows,
        speed=line,
        machine=machine_of(model),
        dtype=dtype,
        compiled=compiled,
        random_weights=random_weights,
        without_encoders=without_encoders,
    )


def _ending(clip: Path) -> str:
    return clip.suffix if clip.suffix.lower() in (".mp4", ".mov", ".mkv", ".webm") else ".mkv"


def _warm_up(job: RenderJob, model: Model, compiled_steps: Sequence[int]) -> None:
    """A short render; compiled networks are compiled for the shapes that each number of steps asks of them."""
    _once(replace(job, duration_s=min(1.0, job.video.duration_s)), model, 1)
    for n in compiled_steps:
        _once(job, model, n)


def _once(job: RenderJob, model: Model, steps: int) -> Row:
    is_cuda = model.device.type == "cuda"
    if is_cuda:
        import torch

        torch.cuda.reset_peak_memory_stats(model.device)
    job.out.unlink(missing_ok=True)
    begun_s, begun_cpu_s = time.perf_counter(), _cpu_s()
    [result] = replace(job, settings=replace(job.settings, steps=steps)).run(model)
    return Row(
        steps=steps,
        video_s=result.duration_s,
        stage_s=result.stage_s,
        wall_s=time.perf_counter() - begun_s,
        cpu_s=_cpu_s() - begun_cpu_s,
        peak_memory_mb=_peak_memory_mb(model) if is_cuda else process_peak_mb(),
    )


def _cpu_s() -> float:
    """Processor time of this process and of those it started that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak_memory_mb(model: Model) -> float:
    import torch

    return torch.cuda.max_memory_allocated(model.device) / 1e6


def process_peak_mb() -> float:
    """The most memory that this process ever had; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3  # macOS counts bytes, Linux kB

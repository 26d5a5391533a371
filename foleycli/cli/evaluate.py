"""`foley evaluate`: generated sounds against real ones, file by file and as a set."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foleycli.cli import console, fetched, jobs, naming, options
from foleycli.cli.benchmark import run as run_benchmark
from foleycli.errors import EXIT_FAILED, FoleyError, UsageError
from foleycli.hub.resolve import default_settings
from foleycli.records import Video
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings, flag
from foleycli.threads import import_torch

if TYPE_CHECKING:
    from foleycli.evaluation.evaluate import Evaluation, Sources, Summary
    from foleycli.evaluation.pairs import Pair, PairMetrics
    from foleycli.models.model import Model

METRICS = "Metrics"
DIGITS = 4  # of figures in JSON

Paths = Annotated[
    list[Path],
    typer.Argument(metavar="REAL_DIR MADE_DIR… | VIDEO…", help="Two folders; with --model, videos with sound."),
]
ModelToEvaluate = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME|FOLDER", help="Render these videos with it.", rich_help_panel=options.SOUND),
]
Prompts = Annotated[
    Path | None,
    typer.Option("--prompts", metavar="FILE", help="YAML or JSON, clip: prompt a line.", rich_help_panel=options.SOUND),
]
OutDir = Annotated[
    Path | None,
    typer.Option(
        "--out-dir",
        metavar="DIR",
        help="Keep the rendered sounds, or the files of --benchmark, here.",
        rich_help_panel=options.OUTPUT,
    ),
]
Benchmark = Annotated[
    bool,
    typer.Option("--benchmark", help="The table that papers print, a folder for each system.", rich_help_panel=METRICS),
]
Bootstrap = Annotated[
    int | None,
    typer.Option(
        "--bootstrap",
        min=0,
        max=100_000,
        metavar="N",
        help="Draws of clips behind the intervals of --benchmark; 0: none.",
        show_default="1000",
        rich_help_panel=METRICS,
    ),
]
Aisfx = Annotated[
    Path | None,
    typer.Option("--aisfx", metavar="FILE", help="The wheel or weights of aisfx, for FAD.", rich_help_panel=METRICS),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="DIR",
        help="Labelled sounds (sub-folders are labels) for label accuracy; needs aisfx.",
        rich_help_panel=METRICS,
    ),
]


FILE = ("file", "name")  # the title of a column, and the figure in it
TIMING = (
    ("onsets/s real", "real_onsets_per_s"),
    ("onsets/s generated", "generated_onsets_per_s"),
    ("F1 60 ms", "f1_60ms"),
    ("above chance 60 ms", "above_60ms"),
    ("F1 100 ms", "f1_100ms"),
    ("above chance 100 ms", "above_100ms"),
    ("offset s", "offset_s"),
)
SOUND = (
    ("loudness correlation", "envelope"),
    ("spectrum dB", "spectral_distance_db"),
    ("sync generated", "sync"),
    ("sync real", "real_sync"),
)


@dataclass(frozen=True)
class Task:
    """A generated sound to measure, or a clip to render first."""

    source: Path
    settings: Settings  # of the rendering; its prompt also says what should be heard
    prepare: Callable[[], Pair | Video]  # checks the input without loading a model


def evaluate(
    paths: Paths,
    model: ModelToEvaluate = None,
    prompt: options.Prompt = None,
    prompts: Prompts = None,
    preset: options.Preset = "default",
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    words_guidance: options.WordsGuidance = None,
    library: options.Library = None,
    engine: options.Engine = None,
    room: options.Room = None,
    ride: options.Ride = None,
    seed: options.Seed = None,
    aisfx: Aisfx = None,
    labels: Labels = None,
    benchmark: Benchmark = False,
    bootstrap: Bootstrap = None,
    out_dir: OutDir = None,
    force: options.Force = False,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
    accept_license: options.AcceptLicense = False,
) -> None:
    """Measure generated sounds against real ones: timing, loudness, spectrum, fit to the picture, embedding distances.

    Two folders are paired by file names; with --model, each video is rendered as `foley render` does it and
    compared with its own sound. With --benchmark, the folders of several systems come into one table, on the clips that
    all of them have, as Markdown, LaTeX and JSON in --out-dir.
    """
    run = jobs.RunOptions(
        model=model or "",
        device=device,
        dtype=dtype,
        force=force if benchmark else True,
        quiet=quiet,
        json=json,
        dry_run=False,
        report=False,
        accept_license=accept_license,
        threads=threads,
    )
    given = options.given(
        prompt=prompt,
        steps=steps,
        guidance=guidance,
        words_guidance=words_guidance,
        library=library,
        engine=engine,
        room=room,
        ride=ride,
        seed=seed,
    )
    if benchmark:
        _refuse_rendering([*given, *(["preset"] if preset != "default" else [])])
        if model is not None:
            raise UsageError("--benchmark measures folders, and --model is given", "Render them first: foley render")
        if labels is not None:
            raise UsageError("--labels is for one folder of sounds", "Leave out --benchmark or --labels")
        sources = _sources(aisfx, labels, run)
        draws = 1000 if bootstrap is None else bootstrap
        run_benchmark(paths, prompts, draws, out_dir=out_dir, sources=sources, how=run)
        return
    if bootstrap is not None:
        raise UsageError("--bootstrap is for --benchmark", "Add --benchmark")
    if model is None:
        others = {"prompts": prompts, "preset": preset != "default", "out_dir": out_dir}
        _refuse_rendering([*given, *(name for name, value in others.items() if value)])
        tasks, unpaired = _pair_tasks(paths)
    else:
        settings = resolve_settings(preset, default_settings(model), given)
        fetched.check_name(model)
        tasks, unpaired = _clip_tasks(paths, settings, prompts, out_dir), []
    _run(tasks, run, unpaired=unpaired, sources=_sources(aisfx, labels, run), out_dir=out_dir)


def _refuse_rendering(names: Sequence[str]) -> None:
    """Options that say how to render are refused where nothing is rendered."""
    if names:
        raise UsageError(f"{flag(names[0])} is for rendering, and no --model is given", "Add --model NAME")


def _sources(aisfx: Path | None, labels: Path | None, run: jobs.RunOptions) -> Sources:
    import_torch(run.threads)
    from foleycli.evaluation.evaluate import check_sources

    return check_sources(aisfx, labels)


def _pair_tasks(paths: Sequence[Path]) -> tuple[list[Task], list[Path]]:
    """The files of two folders, and those without a partner."""
    if len(paths) != 2:
        raise UsageError(
            f"{len(paths)} paths are given", "Give a folder of real sounds and one of generated ones, or --model"
        )
    from foleycli.evaluation.pairs import pair_up

    found = pair_up(*paths)
    tasks = [Task(pair.generated, Settings(), partial(_checked_pair, pair)) for pair in found.pairs]
    return tasks, [*found.only_real, *found.only_generated]


def _checked_pair(pair: Pair) -> Pair:
    from foleycli.media.probe import probe_audio

    probe_audio(pair.real)
    probe_audio(pair.generated)
    return pair


def _clip_tasks(clips: Sequence[Path], settings: Settings, prompts: Path | None, out_dir: Path | None) -> list[Task]:
    """Clips to render; a file of prompts has one for some of them."""
    words = naming.read_prompts(prompts, clips) if prompts else {}
    twice = [stem for stem, n in Counter(clip.stem for clip in clips).items() if n > 1]
    if twice:
        raise UsageError(f"two clips are called {twice[0]}", "Give them different names, or two calls")

    def task(clip: Path) -> Task:
        own = words.get(clip, settings.prompt)
        return Task(clip, replace(settings, prompt=own), partial(_checked_clip, clip, out_dir))

    return [task(clip) for clip in clips]


def _checked_clip(clip: Path, out_dir: Path | None) -> Video:
    from foleycli.evaluation.evaluate import rendered_path
    from foleycli.media.probe import probe, probe_audio

    video = probe(clip)
    probe_audio(clip)
    if out_dir is not None and (kept := rendered_path(clip, out_dir)).exists():
        raise FoleyError(f"{kept} already exists", "Give another --out-dir")
    return video


def _run(
    tasks: Sequence[Task], run: jobs.RunOptions, *, unpaired: list[Path], sources: Sources, out_dir: Path | None
) -> None:
    """Measure all; raises typer.Exit with 3 when some failed, 1 when all of several failed."""
    from foleycli.media.ffmpeg import find_ffmpeg

    find_ffmpeg()
    if unpaired:
        console.note(f"without a partner in the other folder: {', '.join(map(str, unpaired))}", run.quiet)
    tally, ready = jobs.Tally(len(tasks)), []
    for task in tasks:
        with jobs.isolated(task.source, tally, run):
            ready.append((task, task.prepare()))
    if not ready:
        raise typer.Exit(EXIT_FAILED)
    if out_dir is not None:
        jobs.make_folder(out_dir)
    evaluation, model = _load(sources, run)
    with tempfile.TemporaryDirectory(prefix="foley-evaluate-") as temporary:
        folder = out_dir or Path(temporary)
        for index, (task, item) in enumerate(ready, start=1):
            console.note(f"{task.source} ({index} of {len(ready)})", run.quiet)
            with jobs.isolated(task.source, tally, run):
                row = _measure(task, item, evaluation, model, folder=folder, run=run)
                if run.json:
                    facts = {"input": str(task.source), "prompt": task.settings.prompt}
                    console.result_json({**facts, **_rounded(asdict(row))})
    if not evaluation.rows:
        raise typer.Exit(EXIT_FAILED)
    of_call = {"model": run.model or None, "failed": len(tally.failed), "unpaired": list(map(str, unpaired))}
    _show(evaluation, of_call, run)
    if tally.exit_code:
        raise typer.Exit(tally.exit_code)


def _load(sources: Sources, run: jobs.RunOptions) -> tuple[Evaluation, Model | None]:
    """What measures, and the model that is measured."""
    folder = fetched.model_folder(run.model, run.accept_license, run.quiet) if run.model else None
    from foleycli.device import choose_device, oom_as_foley_error
    from foleycli.evaluation.evaluate import begin
    from foleycli.models import model as models

    with console.progress(run.quiet) as report, oom_as_foley_error():
        report("load", 0, 1)
        evaluation = begin(sources, choose_device(run.device), report)
        model = models.load_model(folder, run.device, run.dtype) if folder else None
        report("load", 1, 1)
    return evaluation, model


def _measure(
    task: Task, item: Pair | Video, evaluation: Evaluation, model: Model | None, *, folder: Path, run: jobs.RunOptions
) -> PairMetrics:
    """The figures of a pair; a clip is rendered first."""
    from foleycli.device import oom_as_foley_error
    from foleycli.evaluation.evaluate import render_pair

    if isinstance(item, Video):
        assert model is not None
        with console.progress(run.quiet) as report:
            item = render_pair(item, model, task.settings, folder=folder, report=report)
    with oom_as_foley_error():
        return evaluation.add(item, task.settings.prompt)


def _show(evaluation: Evaluation, facts: dict[str, Any], run: jobs.RunOptions) -> None:
    """The tables, or in JSON the last line."""
    summary = evaluation.summary()
    if run.json:
        console.result_json({**facts, **_rounded(asdict(summary))})
        return
    # Twelve columns are more than a terminal holds side by side; other programs want one table.
    for number, columns in enumerate((TIMING, SOUND) if sys.stdout.isatty() else ((*TIMING, *SOUND),)):
        if number:
            console.result("")
        _show_table((FILE, *columns), evaluation.rows, summary)
    if summary.metrics:
        console.result("")
        console.table(("metric", "value"), [[key, _cell(value)] for key, value in summary.metrics.items()], right=(1,))
    if summary.means["sync"] is not None:
        caution = (
            "sync and offset: by the encoder that the shipped models are conditioned on, so it favours their sound"
        )
        console.note(caution, run.quiet)
    if summary.not_measured:
        keys = ", ".join(summary.not_measured)
        console.note(f"not measured: {keys} (foley guide evaluation says what they need, --json why)", run.quiet)


def _show_table(columns: Sequence[tuple[str, str]], rows: Sequence[PairMetrics], summary: Summary) -> None:
    """A line a pair, the means over all, and the means over those whose real sound has onsets."""
    figures = [asdict(row) for row in rows]
    figures.append({**summary.means, "name": f"mean of {summary.files}"})
    if summary.files_with_onsets:
        figures.append({**summary.means_with_onsets, "name": f"mean of {summary.files_with_onsets} with onsets"})
    cells = [[_cell(row[key]) for _, key in columns] for row in figures]
    console.table([title for title, _ in columns], cells, right=range(1, len(columns)))


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _rounded(value: Any) -> Any:
    """Floats rounded to DIGITS for JSON."""
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return round(value, DIGITS) if isinstance(value, float) else value

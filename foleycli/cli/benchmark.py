"""`foley evaluate --benchmark`: the table of several systems on the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from foleycli.cli import console, jobs, naming
from foleycli.errors import EXIT_FAILED, UsageError

if TYPE_CHECKING:
    from foleycli.evaluation.benchmark import Benchmark, System, Table
    from foleycli.evaluation.evaluate import Sources


def run(
    paths: Sequence[Path],
    prompts: Path | None,
    n_draws: int,
    *,
    out_dir: Path | None,
    sources: Sources,
    how: jobs.RunOptions,
) -> None:
    """Check the folders, measure every clip of every system, show the table and write its files to `out_dir`.

    Raises typer.Exit with 3 when some clips could not be measured, 1 when none could.
    """
    if len(paths) < 2:
        raise UsageError(f"{len(paths)} paths are given", "Give a folder of real sounds, then one for each system")
    from foleycli.evaluation.benchmark import systems_of
    from foleycli.evaluation.pairs import media_in
    from foleycli.media.ffmpeg import find_ffmpeg

    systems, left_out = systems_of(paths[0], paths[1:])
    words = naming.read_prompts(prompts, list(media_in(paths[0]).values())) if prompts else {}
    find_ffmpeg()
    if out_dir is not None:
        _check_out_dir(out_dir, paths, how.force)
    for name, clips in left_out.items():
        shown = ", ".join(clips[:5]) + (", …" if len(clips) > 5 else "")
        console.note(f"{name}: {len(clips)} that not all folders have are left out: {shown}", how.quiet)
    benchmark, failed = _measure(systems, words, sources, how)
    from foleycli.evaluation.networks import metrics_folder, missing_metrics

    # The table may be published: a folder of the user's own is not named in it.
    missing = {
        key: why.replace(str(metrics_folder()), "FOLEY_HOME/metrics")
        for key, why in missing_metrics(sources.files).items()
    }
    table = benchmark.table(missing, left_out, n_draws)
    if out_dir is not None:
        from foleycli.evaluation.benchmark_files import write_files

        write_files(table, out_dir, n_draws, sources.files)
    _show(table, out_dir, how)
    if failed.failed:
        raise typer.Exit(failed.exit_code)


def _check_out_dir(out_dir: Path, inputs: Sequence[Path], force: bool) -> None:
    from foleycli.evaluation.benchmark_files import NAMES
    from foleycli.media.output import check_outputs

    jobs.make_folder(out_dir)
    check_outputs([out_dir / name for name in NAMES], inputs, force=force)


def _measure(
    systems: Sequence[System], words: dict[Path, str], sources: Sources, how: jobs.RunOptions
) -> tuple[Benchmark, jobs.Tally]:
    from foleycli.device import choose_device, oom_as_foley_error
    from foleycli.evaluation.benchmark import Benchmark
    from foleycli.evaluation.evaluate import begin

    clips = list(systems[0].pairs)
    tally = jobs.Tally(len(clips))
    with console.progress(how.quiet) as report, oom_as_foley_error():
        loaded = begin(sources, choose_device(how.device), report)
        benchmark = Benchmark(systems, loaded.set_metrics.loaded, loaded.extractor)
        for done, clip in enumerate(clips, start=1):
            source = systems[0].pairs[clip].real
            with jobs.isolated(source, tally, how):
                benchmark.add(clip, words.get(source, ""))
            report("clips", done, len(clips))
    if not benchmark.clips:
        raise typer.Exit(EXIT_FAILED)
    return benchmark, tally


def _show(table: Table, out_dir: Path | None, how: jobs.RunOptions) -> None:
    """A line a figure, a column a system: that fits a terminal; in JSON one object."""
    from foleycli.evaluation.benchmark_files import cell, title, to_dict

    if how.json:
        console.result_json(to_dict(table))
    else:
        rows = [
            [title(figure), *(cell(figure, row.figures.get(figure.key)) for row in table.rows)]
            for figure in table.figures
        ]
        console.table(("figure", *(row.name for row in table.rows)), rows, right=range(1, len(table.rows) + 1))
    if table.not_measured:
        keys = ", ".join(table.not_measured)
        console.note(f"not measured: {keys} (foley guide evaluation says what they need, --json why)", how.quiet)
    if out_dir is not None:
        console.note(f"written to {out_dir}: benchmark.json, benchmark.md, benchmark.tex", how.quiet)

"""The report of a curation for people: a table, examples of what fell, and pictures of borderline cases."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from foleycli.datasets import shards
from foleycli.datasets.curate import REASONS, Curated, Thresholds
from foleycli.datasets.reader import Dataset, StoredExample
from foleycli.report.picture import draw_report, n_pictures

PAGE_NAME, PICTURES = "report.md", "borderline"
N_BORDERLINE = 6  # on either side of the threshold
N_NAMED = 5  # of what fell for one reason

ABOUT = {
    "silent": "softer than the threshold",
    "duplicate": "the same sound as another example, which stays",
    "speech": "speech or singing",
    "music": "music",
    "no match": "sound and picture do not belong together",
}


def write_page(curated: Curated, dataset: Dataset, thresholds: Thresholds) -> Path:
    """`report.md`, with pictures of the examples nearest to the threshold on either side."""
    folder = curated.folder / PICTURES
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    near = borderline(curated, thresholds)
    _draw(dataset, near, folder)
    numbers = curated.report
    n, n_kept = sum(numbers["examples"].values()), sum(numbers["kept"].values())
    splits = list(numbers["kept"])
    lines = ["# What was kept", "", f"{n_kept} of {n} examples ({100 * n_kept / max(1, n):.1f} %) are kept.", ""]
    lines += _table(["", *splits], [
        ["all", *(str(numbers["examples"][split]) for split in splits)],
        *([f"{reason}: {ABOUT[reason]}", *(str(-numbers["fallen"][split][reason]) for split in splits)]
          for reason in REASONS),
        ["kept", *(str(numbers["kept"][split]) for split in splits)],
    ])  # fmt: skip
    lines += ["", "An example falls for the first of these reasons.", "", "## Measured by", ""]
    lines += [f"- {what}: {how}" for what, how in numbers["measured_by"].items()]
    lines += ["", "## Thresholds", "", *(f"- {name}: {value:g}" for name, value in numbers["thresholds"].items()), ""]
    for reason in REASONS:
        of_reason = [one for one in curated.fallen if one.reason == reason]
        if of_reason:
            lines += [f"## {reason.capitalize()}: {len(of_reason)}", ""]
            for one in of_reason[:N_NAMED]:
                figure = "" if one.value is None else f" {one.value:.3g}"
                lines.append(f"- `{one.key}`{figure}{f' ({one.detail})' if one.detail else ''}")
            lines += ["", "All of them: `fallen.jsonl`.", ""] if len(of_reason) > N_NAMED else [""]
    if near:
        lines += ["## Borderline", "", "The examples nearest to the threshold, from the worst to the best.", ""]
        for key, value, is_kept in near:
            lines += [f"{'Kept' if is_kept else 'Fell'}, {value:.3f}: `{key}`", "", f"![]({PICTURES}/{key}.png)", ""]
    page = curated.folder / PAGE_NAME
    shards.write_text(page, "\n".join(lines).rstrip() + "\n")
    return page


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ["---", *["---:"] * (len(head) - 1)], *rows)]


def borderline(curated: Curated, thresholds: Thresholds) -> list[tuple[str, float, bool]]:
    """Key, figure and whether it is kept, of those nearest to the threshold of belonging together, worst first."""
    measures = curated.measures
    kept = {key for keys in curated.kept.values() for key in keys}
    unmatched = {one.key for one in curated.fallen if one.reason == "no match"}
    by_imagebind = any(one.imagebind is not None for one in measures)
    limit = thresholds.imagebind if by_imagebind else thresholds.sync
    figures = [(one.key, one.imagebind if by_imagebind else one.sync) for one in measures]
    known = [(key, value) for key, value in figures if value is not None and (key in kept or key in unmatched)]
    nearest = []
    for is_kept in (False, True):
        side = [(key, value) for key, value in known if (key in kept) == is_kept]
        nearest += sorted(side, key=lambda one: (abs(one[1] - limit), one[0]))[:N_BORDERLINE]
    return [(key, value, key in kept) for key, value in sorted(nearest, key=lambda one: (one[1], one[0]))]


def _draw(dataset: Dataset, near: list[tuple[str, float, bool]], folder: Path) -> None:
    """A picture of each, by its key in `folder`."""
    figures = {key: value for key, value, _ in near}
    places = {
        facts["key"]: (split, number)
        for split in dataset.splits()
        for number in dataset.numbers(split)
        for facts in shards.read_json(shards.facts_path(dataset.folder, split, number))["examples"]
        if facts["key"] in figures
    }
    for split, number in sorted(set(places.values())):
        for example in dataset.read(split, number, "media"):
            if example.key in figures:
                draw_example(example, folder / f"{example.key}.png", f"{figures[example.key]:.3f}")


def draw_example(example: StoredExample, path: Path, figure: str) -> None:
    """Film strip, waveform and spectrogram of an example."""
    pictures = example.pictures()
    n = n_pictures(pictures.shape[2], pictures.shape[1])
    strip = pictures[(np.arange(n) * len(pictures) + len(pictures) // 2) // n]
    samples, rate_hz = example.sound()
    label = str(example.facts["label"])
    title = f"{figure}  {label}" if label else f"{figure}  {example.key}"
    draw_report(path, filmstrip=strip, samples=samples, rate_hz=rate_hz, events_s=[], title=title)

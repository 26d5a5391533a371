"""The page of a batch: every row with its picture, its takes and their spectrograms, to look and listen through.

Each page is one HTML file that asks no network: style, script and small pictures are in it; videos and sounds are
played from beside it, by relative links.
"""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from foleycli import __version__
from foleycli.batch.work import Outcome
from foleycli.media.output import is_video_name, replacing

NAME = "index.html"
ROWS_A_PAGE = 200  # a row is some 20 kB
TEMPLATE = Path(__file__).with_name("page.html")


def page_file(out_dir: Path, page: int) -> Path:
    """index.html, index-2.html …"""
    return out_dir / (NAME if page == 1 else f"index-{page}.html")


def write_pages(out_dir: Path, outcomes: Sequence[Outcome], title: str, summary: dict[str, str]) -> Path:
    """Write the pages of all rows, in their order; gives the first.  Pages of an earlier, longer batch go.

    summary   what stands at the top, by heading
    """
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    n_pages = max(1, math.ceil(len(outcomes) / ROWS_A_PAGE))
    for page in range(1, n_pages + 1):
        rows = outcomes[(page - 1) * ROWS_A_PAGE : page * ROWS_A_PAGE]
        text = template.substitute(
            title=escape(title),
            summary_heads="".join(f"<th>{escape(name)}</th>" for name in summary),
            summary_cells="".join(f"<td>{escape(value)}</td>" for value in summary.values()),
            pages=_links(out_dir, page, n_pages),
            rows="\n".join(_row(outcome, out_dir) for outcome in rows),
            version=__version__,
        )
        with replacing(page_file(out_dir, page)) as part:
            part.write_text(text, encoding="utf-8", errors="backslashreplace")
    page = n_pages + 1
    while (old := page_file(out_dir, page)).is_file():
        old.unlink()
        page += 1
    return page_file(out_dir, 1)


def _links(out_dir: Path, page: int, n_pages: int) -> str:
    """The way to the other pages, where there are several."""
    if n_pages == 1:
        return ""
    links = []
    for other in range(1, n_pages + 1):
        here = ' aria-current="page"' if other == page else ""
        links.append(f'<a href="{page_file(out_dir, other).name}"{here}>{other}</a>')
    return f"<nav>Page {' '.join(links)}</nav>"


def _row(outcome: Outcome, out_dir: Path) -> str:
    number = f'<span class="number">{outcome.number}</span>'
    name = escape(str(outcome.source))
    if outcome.status == "failed":
        told = ". ".join(filter(None, (outcome.error, outcome.hint)))
        return f'<article class="failed"><h2>{number} {name}</h2><p>{escape(told)}</p></article>'
    first = outcome.results[0]
    takes = "\n".join(_take(outcome, index, out_dir) for index in range(len(outcome.results)))
    return (
        f'<article data-start="{first.get("start_s", 0):g}" data-duration="{outcome.length_s:g}">\n'
        f"<div>{_player(outcome, out_dir)}</div>\n"
        f"<div><h2>{number} {name}</h2>\n"
        f'<p class="prompt">{_words(first)}</p>\n'
        f'<ol class="takes">\n{takes}\n</ol></div>\n</article>'
    )


def _words(facts: dict[str, Any]) -> str:
    """The prompt, or what was recognised where there is none."""
    if prompt := facts["settings"]["prompt"]:
        return escape(prompt)
    labels = ", ".join(str(label["label"]) for label in facts.get("labels", ())[:3])
    return f'<span class="facts">no prompt{escape("; seen: " + labels if labels else "")}</span>'


def _player(outcome: Outcome, out_dir: Path) -> str:
    """The first result; a sound is played beside the picture that it was made for."""
    src = _link(Path(outcome.results[0]["output"]), out_dir)
    assert outcome.record is not None
    poster = _data_uri(outcome.record.still)
    shown = f' poster="{poster}"' if poster else ""
    if is_video_name(Path(outcome.results[0]["output"])):
        return f'<video controls preload="none" src="{src}"{shown}></video>'
    source = _link(outcome.source, out_dir)
    return (
        f'<video controls muted preload="none" src="{source}"{shown}></video>\n'
        f'<audio class="beside" preload="none" src="{src}"></audio>'
    )


def _take(outcome: Outcome, index: int, out_dir: Path) -> str:
    facts = outcome.results[index]
    src = _link(Path(facts["output"]), out_dir)
    assert outcome.record is not None
    picture = _data_uri(outcome.record.spectrogram(index))
    image = f'<img src="{picture}" alt="Spectrogram">' if picture else '<span class="blank"></span>'
    said = [f"seed {facts['seed']}"]
    if facts.get("sync_score") is not None:
        said.append(f"synchronisation {facts['sync_score']:.3f}")
    if facts.get("lufs") is not None:
        said.append(f"{facts['lufs']:.1f} LUFS")
    said += facts.get("notes", ())
    pressed = "true" if index == 0 else "false"
    return (
        f'<li><button type="button" data-src="{src}" aria-pressed="{pressed}" aria-label="Play take {index + 1}">'
        f'{image}<span class="head"></span></button>\n'
        f'<a href="{src}">{escape(Path(facts["output"]).name)}</a> '
        f'<span class="facts">{escape(", ".join(said))}</span></li>'
    )


def _link(path: Path, out_dir: Path) -> str:
    """A file as seen from the page; on another drive, where there is no way to it, its full address."""
    try:
        relative = os.path.relpath(path, out_dir)
    except ValueError:  # Windows
        return escape(path.absolute().as_uri())
    return escape(quote(os.fsencode(relative.replace(os.sep, "/"))))


def _data_uri(path: Path) -> str:
    """A picture inside the page; "" where there is none."""
    try:
        return "data:image/webp;base64," + base64.b64encode(path.read_bytes()).decode()
    except OSError:
        return ""

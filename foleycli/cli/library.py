"""`foley library list|search|add`: which recordings there are, what words find, how to make a folder of one's own."""

from __future__ import annotations

import json as json_module
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from foleycli.cli import console, options
from foleycli.errors import FoleyError, UsageError

if TYPE_CHECKING:
    from foleycli.library.library import Recording

app = typer.Typer(
    help="Recordings: list, search, add.",
    epilog=console.examples(
        ("What words find", 'foley library search "a dog barks while rain falls"'),
        ("A folder of your own", 'foley library add door*.wav --to my-sounds --words "door slam, door"'),
    ),
)
Sounds = Annotated[
    Path | None,
    typer.Option("--sounds", metavar="FOLDER", help="A folder of yours in place of the library that ships with foley."),
]


@app.command("list", epilog=console.examples(("One category", "foley library list --category water")))
def list_sounds(
    category: Annotated[str | None, typer.Option("--category", metavar="NAME", help="Only this category.")] = None,
    sounds: Sounds = None,
    json: options.Json = False,
) -> None:
    """All sounds with their category, kind and number of takes."""
    from foleycli.library.library import SHIPPED_LIBRARY, read_library

    recordings = read_library(sounds or SHIPPED_LIBRARY)
    known = Counter(one.category for one in recordings)
    if category is not None and category not in known:
        raise UsageError(
            f"there is no category {category!r}", f"Choose one of {', '.join(sorted(filter(None, known)))}"
        )
    shown = [one for one in recordings if category in (None, one.category)]
    if json:
        for one in shown:
            console.result_json(_facts(one))
        return
    rows = [(one.name, one.category, one.kind or "", str(len(one.takes_s) or "")) for one in shown]
    console.table(("name", "category", "kind", "takes"), rows)


@app.command(epilog=console.examples(("Several things at once", 'foley library search "thunder and heavy rain"')))
def search(
    words: Annotated[list[str], typer.Argument(metavar="WORDS", help="A prompt, as for `foley render`.")],
    sounds: Sounds = None,
    json: options.Json = False,
) -> None:
    """Which sounds a prompt finds, by which of its words; exit code 1 where it finds none."""
    from foleycli.library.library import SHIPPED_LIBRARY, open_library

    prompt = " ".join(words)
    found = open_library(sounds or SHIPPED_LIBRARY).find(prompt)
    if not found:
        raise FoleyError(f"no recording is called like {prompt!r}", "List them: foley library list")
    if json:
        for match in found:
            facts = {"words": match.span, "phrase": match.phrase, "score": match.score}
            console.result_json({**_facts(match.recording), **facts})
        return
    rows = [(match.recording.name, f"{match.score:.2f}", match.span, match.phrase) for match in found]
    console.table(("name", "score", "words", "found as"), rows)


@app.command(epilog=console.examples(("Use it", "foley render clip.mp4 --prompt door --sounds my-sounds")))
def add(
    files: Annotated[list[Path], typer.Argument(metavar="AUDIO", help="Sound files, takes of one thing.")],
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="The folder; it is made if missing.")],
    words: Annotated[str, typer.Option("--words", metavar="WORDS", help="What they are called, separated by commas.")],
    kind: Annotated[
        Literal["hits", "voice", "texture"] | None,
        typer.Option("--kind", help="Hits, calls, or a texture; default: by the sound."),
    ] = None,
) -> None:
    """Copy recordings into a folder of your own and say what they are, for `--sounds FOLDER`."""
    from foleycli.cli.jobs import make_folder
    from foleycli.library.index import INDEX_NAME, index_rows
    from foleycli.media.output import replacing
    from foleycli.media.probe import probe_audio

    phrases = [phrase.strip().lower() for phrase in words.split(",") if phrase.strip()]
    if not phrases:
        raise UsageError("--words names nothing", 'Say what it is: --words "door slam, door"')
    for file in files:
        probe_audio(file)
        if (to / file.name).exists():
            raise FoleyError(f"{to / file.name} exists", "Rename the file, or remove the one that is there")
    twice = [name for name, n in Counter(file.name for file in files).items() if n > 1]
    if twice:
        raise UsageError(f"two files are called {twice[0]}", "Add them in two calls, with different names")
    make_folder(to, "--to")
    rows = index_rows(to)
    for file in files:
        with replacing(to / file.name) as part:
            shutil.copyfile(file, part)
        rows.append({"file": file.name, "words": phrases, **({"kind": kind} if kind else {})})
    with replacing(to / INDEX_NAME) as part:
        text = "".join(json_module.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        part.write_text(text, encoding="utf-8", errors="backslashreplace")  # names that are no UTF-8, as JSON has them
    console.result(str(to))


def _facts(recording: Recording) -> dict[str, Any]:
    """What is known of a recording, as plain values."""
    return {
        "name": recording.name,
        "file": str(recording.path),
        "called": list(recording.phrases),
        "category": recording.category,
        "kind": recording.kind,
        "takes": len(recording.takes_s),
        "from": list(recording.origins),
    }

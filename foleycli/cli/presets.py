"""`foley presets list|show|path`: what presets there are, what one sets, where its file is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from foleycli.cli import console, options
from foleycli.settings import preset

app = typer.Typer(
    help="Presets: list, show, path.",
    epilog=console.examples(
        ("Which there are", "foley presets list"), ("Use one", "foley render clip.mp4 --preset footsteps")
    ),
)
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE",
        help="A preset's name or its YAML file.",
        autocompletion=options.complete_presets,
    ),
]


@app.command("list", epilog=console.examples(("Names and purposes", "foley presets list")))
def list_presets(json: options.Json = False) -> None:
    """All presets that come with foley."""
    files = [preset.find(name) for name in preset.names()]
    if json:
        for file in files:
            console.result_json({"name": file.stem, "what": preset.describe(file), "file": str(file)})
        return
    console.table(("name", "what"), [(file.stem, preset.describe(file)) for file in files])


@app.command(
    epilog=console.examples(
        ("What it sets and why", "foley presets show impacts"),
        ("All settings that result", "foley presets show impacts --json"),
    )
)
def show(name: Name = "default", json: options.Json = False) -> None:
    """What a preset sets, with its reasons; as JSON: all settings that result from it."""
    file = preset.find(name)
    settings = preset.resolve_settings(name)  # refuses a file that would be refused when used
    if json:
        console.result_json(asdict(settings))
        return
    console.result(file.read_text(encoding="utf-8").rstrip())


@app.command(epilog=console.examples(("A copy to change", 'cp "$(foley presets path impacts)" mine.yaml')))
def path(name: Name = "default") -> None:
    """The file of a preset."""
    console.result(str(preset.find(name)))

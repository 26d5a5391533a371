"""The command line as data: all commands, and whether an example of one could be typed as it stands."""

from __future__ import annotations

import re
import shlex
from typing import Any

import typer

from foleycli.cli.app import app


def all_commands() -> dict[tuple[str, ...], Any]:
    """All commands by the words that name them, groups included."""
    found, left = {}, [((), typer.main.get_command(app))]
    while left:
        words, command = left.pop()
        found[words] = command
        left += [((*words, name), each) for name, each in getattr(command, "commands", {}).items()]
    return found


def parse_example(line: str) -> None:
    """Check commands, options and their values; errors: a usage error of Typer's."""
    inner = re.search(r"\$\((foley [^)]*)\)", line)
    words = shlex.split(inner[1] if inner else line.partition(" | ")[0], comments=True)[1:]
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
    command.make_context("foley", words)


def foley_lines(text: str) -> list[str]:
    """The lines of indented code in Markdown that call foley."""
    lines = re.findall(r"^ {4}(.*\S)$", text, flags=re.MULTILINE)
    return [line for line in lines if line.startswith("foley ") or "$(foley " in line]

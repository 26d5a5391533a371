"""Rows of a manifest as calls of `foley render`: the same options, read by the same parser."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, wraps
from pathlib import Path
from typing import Any

import typer

from foleycli.batch.manifest import Row
from foleycli.cli import console
from foleycli.cli.render import requests
from foleycli.errors import UsageError
from foleycli.settings.checking import expand_user, short_repr

# What holds for the whole batch, or says where results go.
NOT_IN_ROWS = frozenset(
    "videos out_dir name prompts force resume report device threads compiled quiet json dry_run accept_license".split()  # noqa: SIM905
)
# What does not decide how a result sounds or what is written; the model is known by its hash.
NOT_DECISIVE = (NOT_IN_ROWS - {"name", "report"}) | {"out", "model"}
OUTPUTS = ("out", "stems", "timeline")  # columns that name what is written: in the folder of results
FILE_OR_NAME = ("model", "preset")
YES, NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@cache
def _command() -> Any:
    """`foley render`, as a command that gives its options instead of following them."""
    app = typer.Typer(add_completion=False)

    @app.command()
    @wraps(requests)
    def row(**options: Any) -> dict[str, Any]:
        return options

    return typer.main.get_command(app)


@cache
def columns() -> Mapping[str, Any]:
    """The options that a row can have, by the names that its column can have: `loudness` and `loudness_lufs`."""
    found: dict[str, Any] = {}
    for param in _command().params:
        if param.name in NOT_IN_ROWS or not param.opts[0].startswith("-") or param.name == "help":
            continue
        flags = (flag.lstrip("-").replace("-", "_") for flag in param.opts if flag.startswith("--"))
        found |= dict.fromkeys((param.name, *flags), param)
    return found


def options_of(row: Row, folder: Path, out_dir: Path) -> dict[str, Any]:
    """The options of a row, by the names that `requests` has for them.

    folder    what paths in the row are relative to
    out_dir   what names of results are relative to, and stay within
    Errors: UsageError for a value that its option refuses.
    """
    args, names = [], []
    for column, value in row.values.items():
        param = columns()[column]
        args += _args(param, column, value)
        names.append(param.name)
    try:
        parsed = _command().main([*args, "--", row.file], prog_name="row", standalone_mode=False)
    except console.TyperUsageError as error:
        raise UsageError(console.usage_message(error), "Values are those of the options: foley render -h") from error
    return {name: _placed(name, parsed[name], folder, out_dir) for name in names}


def read_by(asked: Mapping[str, Any]) -> list[Path]:
    """The files and folders that a row's options name and that are read."""
    named = [value for name, value in asked.items() if isinstance(value, Path) and name not in (*OUTPUTS, "out_dir")]
    return [*asked["videos"], *named, *([preset] if (preset := Path(asked["preset"])).is_file() else [])]


def _args(param: Any, column: str, value: Any) -> list[str]:
    """A value as the command line has it."""
    flag = next(flag for flag in param.opts if flag.startswith("--"))
    if param.is_flag:
        word = str(value).strip().lower()
        if word in YES:
            return [flag]
        if word in NO:
            return list(param.secondary_opts[:1])
        raise UsageError(f"{column} is {short_repr(value)}", f"Write {YES[0]} or {NO[0]}")
    if isinstance(value, (dict, bool)) or (isinstance(value, list) and not param.multiple):
        raise UsageError(f"{column} is {short_repr(value)}", f"Write what {flag} takes")
    values = value if isinstance(value, list) else [value]
    return [f"{flag}={item}" for item in values]


def _placed(name: str, value: Any, folder: Path, out_dir: Path) -> Any:
    """A value whose paths lead from here."""
    if isinstance(value, (list, tuple)):
        return [_placed(name, item, folder, out_dir) for item in value]
    if name in OUTPUTS:
        return _within(name, Path(value), out_dir)
    if isinstance(value, Path):
        return folder / expand_user(value)
    if name in FILE_OR_NAME and (folder / value).exists():
        return str(folder / value)
    return value


def _within(name: str, path: Path, out_dir: Path) -> Path:
    if path.is_absolute() or ".." in path.parts:
        raise UsageError(f"{name} is {path}", "Give a name within the folder of --out-dir")
    return out_dir / path

"""The Typer app: which commands there are, how errors are told, which exit codes come out."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from foleycli import __version__
from foleycli.cli import bench, console, doctor, evaluate, extend, models, presets, render, train
from foleycli.errors import EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_USAGE, FoleyError, UsageError

# Typer's own usage errors (unknown option, not a number): what all of them derive from.  Typer
# carries click inside and exports only this child of the class.
TyperUsageError = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="foley",
    help="Sound for silent video, in time with the picture.",
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_show_locals=False,  # tensors as locals flood the screen
    rich_markup_mode="rich",
)
app.command("render")(render.render)
app.command("extend")(extend.extend)
app.add_typer(models.app, name="models")
app.add_typer(presets.app, name="presets")
app.command("doctor")(doctor.doctor)
app.command("bench")(bench.bench)
app.command("evaluate")(evaluate.evaluate)
app.command("train")(train.train)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"foley {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(EXIT_USAGE)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    0 done, 1 failed or refused, 2 usage, 3 some failed, 130 interrupted (Ctrl-C), 143 terminated (SIGTERM)
    """
    console.allow_undecodable_paths()
    with _sigterm_raises():
        sys.exit(_run(sys.argv[1:] if args is None else list(args)))


class _Terminated(BaseException):
    """SIGTERM has come: everything is cleaned up as after Ctrl-C."""


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    def raise_terminated(signum: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():  # Python gives signals to no other
        yield
        return
    before = signal.signal(signal.SIGTERM, raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(args: list[str]) -> int:
    try:
        code = app(args, prog_name="foley", standalone_mode=False)
    except FoleyError as error:
        if console.wants_traceback():
            raise
        console.show_error(error)
        return error.exit_code
    except TyperUsageError as error:
        console.show_error(_two_lines(error))
        return EXIT_USAGE
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except _Terminated:
        console.show_interrupted("terminated")
        return EXIT_TERMINATED
    if code == EXIT_INTERRUPTED:  # Typer turns Ctrl-C into this code
        console.show_interrupted()
    return int(code or 0)


def _two_lines(error: Exception) -> UsageError:
    """A usage error of Typer's in our own form."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "foley"
    message = error.format_message().rstrip(".")  # type: ignore[attr-defined]
    return UsageError(message[:1].lower() + message[1:], f"{command} --help shows what it takes")

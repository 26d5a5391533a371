"""The Typer app: which commands there are, how errors are shown, which exit codes come out."""

from __future__ import annotations

import copy
import errno
import inspect
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from foleycli import __version__
from foleycli.cli import (
    batch,
    bench,
    console,
    data,
    doctor,
    draw,
    evaluate,
    extend,
    guide,
    library,
    models,
    presets,
    redo,
    render,
    spot,
    train,
)
from foleycli.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    EXIT_USAGE,
    FoleyError,
    UsageError,
    path_error,
)

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

app = typer.Typer(
    name="foley",
    help="Sound for silent video, in time with the picture. `foley guide` explains more than the helps do.",
    epilog=console.examples(
        ("Make the sound of a clip", 'foley render clip.mp4 -o out.mp4 --prompt "boots on gravel"'),
        ("Read on", "foley guide usage"),
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    pretty_exceptions_show_locals=False,  # tensors as locals flood the screen
    rich_markup_mode="rich",
)
app.command(
    "render",
    epilog=console.examples(
        ("Say what is heard; the same seed makes the same sound", 'foley render clip.mp4 --prompt "boots on gravel"'),
        ("The best of eight takes, as a sound file", "foley render clip.mp4 -o hit.wav --takes 8 --pick best"),
        ("A folder, with words for each file", "foley render shots/ --out-dir sounds --prompts words.csv --resume"),
        ("What would be done, and how long it takes", "foley render clip.mp4 --dry-run"),
    ),
)(render.render)
app.command(
    "batch",
    epilog=console.examples(
        ("A folder, two at a time, with a page to look through", "foley batch shots/ --out-dir sounds --jobs 2"),
        ("A table with a file, a prompt and other options a row", "foley batch shots.csv --out-dir sounds --takes 3"),
        (
            "On a cluster that sees the same folders",
            "foley batch shots.csv --out-dir sounds --scheduler tcp://head:8786",
        ),
    ),
)(batch.batch)
app.command(
    "spot",
    epilog=console.examples(
        ("Which cues a reel asks for", "foley spot reel.mov -o cues.csv"),
        ("For an editor and for a sampler", "foley spot reel.mov -o cues.edl -o hits.mid"),
        ("Then the sound of the sheet", "foley render reel.mov --cues cues.csv -o preview.mov"),
    ),
)(spot.spot)
app.command(
    "extend",
    epilog=console.examples(
        ("Ten seconds more of a take", "foley extend --ref take.wav"),
        ("A minute that can be looped", "foley extend --ref rain.wav --duration 60 --loop"),
        ("The take begins the video; make the rest", "foley extend clip.mp4 --ref take.wav -o out.mp4"),
    ),
)(extend.extend)
app.command(
    "redo",
    epilog=console.examples(
        ("The result of a report again, to another file", "foley redo out.json -o again.wav"),
        ("A second and a half anew, all else as it is", "foley redo out.json --from 3.2 --to 4.7 --force"),
        ("The same with other words, by frames", 'foley redo out.json --from 80f --to 2.5 --prompt "a slap" -o b.wav'),
        ("Cue 5 of a sheet, with its stems", "foley redo preview.json --cue 5 --force"),
        ("The third of several takes is the one", "foley redo out.take1.json --keep 3"),
    ),
)(redo.redo)
app.command(
    "draw",
    epilog=console.examples(
        ("A cue sheet on its reel", "foley draw cues.csv --reel reel.mov -o cues.png"),
        ("What was made of it, with its stems", "foley draw preview.json -o session.png"),
    ),
)(draw.draw)
app.command(
    "evaluate",
    epilog=console.examples(
        ("Files of two folders, paired by name", "foley evaluate real/ generated/"),
        ("Render filmed clips first, then compare", "foley evaluate --model salsav-mini clips/*.mp4 --json"),
        ("Three systems in a paper's table", "foley evaluate --benchmark real/ ours/ a/ b/ --out-dir table"),
    ),
)(evaluate.evaluate)
app.command(
    "bench",
    epilog=console.examples(
        ("Seconds per stage for three numbers of steps", "foley bench clip.mp4 --steps 4,8,32"),
        ("A published model without its download", "foley bench --model mmaudio-small-44k --random-weights"),
    ),
)(bench.bench)
app.command(
    "train",
    epilog=console.examples(
        ("A model from its recipe", "foley train sync --config presets/train/sync-mini.yaml --out runs/sync"),
        ("Go on after a stop", "foley train sync --config presets/train/sync-mini.yaml --out runs/sync --resume"),
        ("What it would cost", "foley train salsa-v --config presets/train/salsav-large.yaml --plan"),
        ("Small enough for a CPU", "foley train salsa-v --config presets/train/salsav-large.yaml --reduced"),
    ),
)(train.train)
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")
app.add_typer(presets.app, name="presets")
app.add_typer(library.app, name="library")
app.command(
    "doctor",
    epilog=console.examples(("Check this machine", "foley doctor"), ("The same for scripts", "foley doctor --json")),
)(doctor.doctor)
app.command(
    "guide",
    epilog=console.examples(
        ("Which pages there are", "foley guide"), ("Read one", "foley guide prompts-and-sound-quality")
    ),
)(guide.guide)


def _join_lines(commands: typer.Typer) -> None:
    """Let each paragraph of a help be wrapped to the terminal: Typer keeps the line breaks of docstrings."""
    for command in commands.registered_commands:
        paragraphs = inspect.cleandoc(command.callback.__doc__ or "").split("\n\n") if command.callback else []
        command.help = command.help or "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for group in commands.registered_groups:
        if group.typer_instance is not None:
            _join_lines(group.typer_instance)


_join_lines(app)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        console.result(f"foley {__version__}")
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


def called(args: list[str]) -> typer.Typer:
    """The app with the called command alone, of which Typer makes less; all of it where none is named first."""
    lean = copy.copy(app)
    lean.registered_commands = [command for command in app.registered_commands if command.name in args[:1]]
    lean.registered_groups = [group for group in app.registered_groups if group.name in args[:1]]
    return lean if lean.registered_commands or lean.registered_groups else app


def _run(args: list[str]) -> int:
    try:
        code = called(args)(args, prog_name="foley", standalone_mode=False)
    except FoleyError as error:
        if console.wants_traceback():
            raise
        console.show_error(error)
        return error.exit_code
    except console.TyperUsageError as error:
        console.show_error(_reworded(error, args))
        return EXIT_USAGE
    except OSError as error:
        refused = path_error(error)
        is_full = error.filename is None and error.errno in NO_ROOM
        if console.wants_traceback() or not (refused or is_full):
            raise
        console.show_error(refused or console.output_error(error))
        return EXIT_FAILED
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except _Terminated:
        console.show_interrupted("terminated")
        return EXIT_TERMINATED
    if code == EXIT_INTERRUPTED:  # Typer turns Ctrl-C into this code
        console.show_interrupted()
    return int(code or 0)


def _reworded(error: Exception, args: Sequence[str]) -> UsageError:
    """A usage error of Typer's in our own form; the hint names the command that `args` begin with."""
    words, commands = ["foley"], getattr(typer.main.get_command(app), "commands", {})
    for arg in args:
        if arg not in commands:
            break
        words.append(arg)
        commands = getattr(commands[arg], "commands", {})
    return UsageError(console.usage_message(error), f"See {' '.join(words)} --help")

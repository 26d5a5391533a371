"""`python -m foleycli.lab MEASUREMENT …`: one command a module of this folder, imported when it is called."""

from __future__ import annotations

import difflib
import sys
from importlib import import_module

import typer

from foleycli.cli import console
from foleycli.errors import EXIT_USAGE, FoleyError, UsageError

MEASUREMENTS = {
    "compare_builds": "CPU and wall seconds of commands in two checkouts, run in turn",
    "docs": "write the generated tables of README, guide and model cards",
    "encoder": "onsets and loudness that a synchronisation encoder predicts for filmed clips",
    "examples": "make the examples of a family's recipe ahead of its training",
    "extensions": "how like a take is what `foley extend` puts after it",
    "families": "all families on the same held-out synthetic clips, one table",
    "film": "how the mix of a render follows held-out film: what its levels are tuned on",
    "figures": "put new figures of a measurement into a model's metrics.json",
    "held_out": "one model on held-out synthetic clips: the figures of its card",
    "mmaudio_speed": "processor time of MMAudio's parts in two checkouts, run in turn",
    "pictures": "run the walk-through of `foley guide sessions` and make its pictures",
    "prompts": "whether 20 prompts on one clip sound like what they say",
    "round_trip": "what a codec changes, by kind of sound",
    "seams": "whether the joins of windows are audible",
    "sound_set": "make the recorded sounds that the shipped weights were trained on",
    "scorer": "whether an encoder can tell a film's own sound from the same sound moved",
    "sweep": "one model over sampler steps, guidance and prompts",
    "training_speed": "clips a second, memory and share of the peak of a recipe, then minutes of a training",
    "takes": "whether the best of several takes, by a score, is better than the first",
    "tagger": "what an AudioSet tagger finds in generated sounds and in real ones",
}


def command(name: str) -> typer.Typer:
    """The command of one measurement; errors: UsageError for an unknown name."""
    module = name.replace("-", "_")
    if module not in MEASUREMENTS:
        near = difflib.get_close_matches(module, MEASUREMENTS, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"One of: {', '.join(MEASUREMENTS)}"
        raise UsageError(f"there is no measurement {name!r}", hint)
    app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
    app.command(context_settings={"help_option_names": ["-h", "--help"]})(import_module(f"foleycli.lab.{module}").main)
    return app


def main(args: list[str]) -> int:
    """Run one measurement, or list them; the exit code."""
    if not args or args[0] in ("-h", "--help"):
        typer.echo("Usage: python -m foleycli.lab MEASUREMENT [OPTIONS]\n")
        typer.echo("\n".join(f"  {name:<16}{about}" for name, about in MEASUREMENTS.items()))
        return 0 if args else EXIT_USAGE
    try:
        command(args[0])(args[1:], prog_name=f"python -m foleycli.lab {args[0]}", standalone_mode=True)
    except FoleyError as error:
        console.show_error(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

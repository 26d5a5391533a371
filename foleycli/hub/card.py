"""A model card out of what is known: the model's config, its training's log and a benchmark's table.

The head of the card are the Hub's facts in YAML, with the figures as a model index; below them is Markdown for people.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from foleycli import __version__
from foleycli.errors import FoleyError
from foleycli.settings.checking import did_you_mean, short_repr
from foleycli.weights.config import ModelConfig, read_config

LOG_NAME = "log.jsonl"
MARK = "<!-- made by foley models push -->"
LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
N_VALIDATIONS = 6  # rows of the table, first and last among them
TITLES = {"hours": "hours", "steps": "steps", "device": "device", "processes": "processes", "recipe": "recipe"}


@dataclass(frozen=True)
class CardSources:
    """What a card is made of."""

    licence: str  # by the Hub's identifier, for instance mit
    log: Path | None = None  # of the training; None: beside the model's folder, where there is one
    benchmark: Path | None = None  # benchmark.json of foley evaluate --benchmark
    system: str = ""  # which of its systems this model is; "": the only one, or the one that has its name


def make_card(folder: Path, repo: str, sources: CardSources) -> str:
    """The text of the card; errors: FoleyError for files that are not what they should be, or an unknown system."""
    if not LICENCE.fullmatch(sources.licence):
        raise FoleyError(
            f"{short_repr(sources.licence)} is no licence that the Hub knows",
            "Give its identifier, such as mit, apache-2.0, cc-by-4.0, cc-by-nc-4.0 or other",
        )
    config = read_config(folder)
    name = config.name or folder.name
    log = _read_log(sources.log, folder)
    table = read_table(sources.benchmark) if sources.benchmark is not None else None
    system = _system(table, name, sources.system) if table is not None else None
    head: dict[str, Any] = {
        "license": sources.licence,
        "library_name": "foley",
        "tags": ["foley", "video-to-audio", *([config.family] if config.family else [])],
    }
    if table is not None and system is not None:
        head["model-index"] = [_model_index(name, table, system)]
    parts = [_about(config, name), _training(config, log), _evaluation(table, system), _use(repo, config)]
    facts = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{facts}---\n{MARK}\n# {name}\n\n" + "\n".join(part for part in parts if part)


def _read_log(path: Path | None, folder: Path) -> list[dict[str, Any]]:
    """The lines of a training's log; [] where none is named and none lies beside the model."""
    if path is None:
        path = folder.resolve().parent / LOG_NAME
        if not path.is_file():
            return []
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not all(isinstance(line, dict) and isinstance(line.get("step"), int) for line in lines):
            raise ValueError("its lines have no step")
    except (OSError, ValueError) as error:
        raise FoleyError(f"{path} cannot be read as a training's log: {error}", "Give its log.jsonl") from error
    return lines


def read_table(path: Path) -> dict[str, Any]:
    """benchmark.json as plain values; errors: FoleyError for another file."""
    hint = "Give the benchmark.json that foley evaluate --benchmark writes"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        for one in values["systems"]:
            for figure in one["figures"].values():
                float(figure["value"])
        int(values["clips"]), dict(values["titles"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FoleyError(f"{path} cannot be read as a benchmark: {error}", hint) from error
    return values


def _system(table: Mapping[str, Any], name: str, wanted: str) -> dict[str, Any]:
    """The line of the table that is this model's."""
    systems = {one["name"]: one for one in table["systems"] if not one.get("is_real")}
    if wanted and wanted not in systems:
        hint = f"{did_you_mean(wanted, systems)}Its systems: {', '.join(systems)}"
        raise FoleyError(f"the benchmark has no system {short_repr(wanted)}", hint)
    if wanted or name in systems:
        return systems[wanted or name]
    if len(systems) != 1:
        raise FoleyError(
            f"the benchmark has {len(systems)} systems, and none is called {name}",
            f"Say which this model is: --system NAME, one of {', '.join(systems)}",
        )
    return next(iter(systems.values()))


def _model_index(name: str, table: Mapping[str, Any], system: Mapping[str, Any]) -> dict[str, Any]:
    """The figures as the Hub reads them."""
    metrics = [
        {"type": key, "name": table["titles"].get(key, key), "value": figure["value"]}
        for key, figure in system["figures"].items()
    ]
    return {
        "name": name,
        "results": [{
            "task": {"type": "video-to-audio", "name": "Video to audio"},
            "dataset": {"type": "foley-benchmark", "name": f"{table['clips']} clips"},
            "metrics": metrics,
        }],
    }  # fmt: skip


def _about(config: ModelConfig, name: str) -> str:
    rows = [("family", config.family), ("kind", config.kind), ("codec", config.codec), ("sync encoder", config.sync),
            ("weights", f"SHA-256 {config.sha256[:16]}…" if config.sha256 else "")]  # fmt: skip
    rows += [(f"default {key}", str(value)) for key, value in config.settings.items()]
    return f"Makes sound for silent video, with foley {__version__}.\n\n" + _table(("", ""), rows)


def _training(config: ModelConfig, log: Sequence[Mapping[str, Any]]) -> str:
    history = config.training if isinstance(config.training, dict) else {}
    rows = [(title, str(history[key])) for key, title in TITLES.items() if key in history]
    losses = [line for line in log if isinstance(line.get("loss"), (int, float))]
    if losses:
        first, last = losses[0], losses[-1]
        rows.append(("loss", f"{first['loss']:.4g} at step {first['step']}, {last['loss']:.4g} at step {last['step']}"))
    if not rows:
        return ""
    text = "## Training\n\n" + _table(("", ""), rows)
    validations = [line for line in log if isinstance(line.get("validation"), dict) and line["validation"]]
    if validations:
        chosen = validations
        if len(validations) > N_VALIDATIONS:
            places = [round(k * (len(validations) - 1) / (N_VALIDATIONS - 1)) for k in range(N_VALIDATIONS)]
            chosen = [validations[place] for place in places]
        keys = list(chosen[-1]["validation"])
        shown = [(str(line["step"]), *(_number(line["validation"].get(key)) for key in keys)) for line in chosen]
        text += "\nOn held-out data:\n\n" + _table(("step", *keys), shown)
    return text


def _evaluation(table: Mapping[str, Any] | None, system: Mapping[str, Any] | None) -> str:
    """The figures of this model beside those of the other systems."""
    if table is None or system is None:
        return ""
    keys = [key for key in table["titles"] if any(key in one["figures"] for one in table["systems"])]
    head = ("figure", *(f"**{one['name']}**" if one is system else one["name"] for one in table["systems"]))
    rows = [(table["titles"][key], *(_interval(one["figures"].get(key)) for one in table["systems"])) for key in keys]
    text = f"## Evaluation\n\n{table['clips']} clips, by `foley evaluate --benchmark`; in brackets 95 % intervals.\n\n"
    text += _table(head, rows)
    if missing := table.get("not_measured"):
        text += f"\nNot measured, since the networks' weights were not at hand: {', '.join(missing)}.\n"
    return text


def _use(repo: str, config: ModelConfig) -> str:
    own = repo.rpartition("/")[2]
    if config.kind != "family":
        return ""
    return f"## Use\n\n    hf download {repo} --local-dir {own}\n    foley render clip.mp4 --model {own}\n"


def _interval(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "–"
    low, high = figure.get("low"), figure.get("high")
    return _number(figure["value"]) + (f" [{_number(low)}, {_number(high)}]" if low is not None else "")


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else "–"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of Markdown, without those that say nothing."""
    told = [row for row in rows if any(row[1:])]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (head, *told)]
    return "\n".join([lines[0], "|" + " --- |" * len(head), *lines[1:]]) + "\n"

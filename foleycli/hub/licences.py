"""Which licences the user has seen and accepted, in one small file under FOLEY_HOME."""

from __future__ import annotations

import json
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.hub import places
from foleycli.hub.catalog import Entry, Licence, with_parts
from foleycli.media.output import replacing


def open_questions(entry: Entry) -> dict[str, Licence]:
    """Of the model and its parts, the licences to be accepted yet, by name of model; those free for commercial
    use need no acceptance."""
    accepted = _read()
    return {
        part.name: part.licence
        for part in with_parts(entry)
        if not part.is_shipped and not part.licence.is_commercial and accepted.get(part.name) != part.licence.name
    }


def accept(licences: dict[str, Licence]) -> None:
    """Remember them; errors: FoleyError when the file cannot be written."""
    path = _file()
    places.make_folder(path.parent)
    accepted = {**_read(), **{name: licence.name for name, licence in licences.items()}}
    try:
        with replacing(path) as part:
            part.write_text(json.dumps(accepted, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise FoleyError(f"{path} cannot be written: {error.strerror}", places.HOME_HINT) from error


def text(licences: dict[str, Licence]) -> str:
    """What to show before anything is fetched: a line per licence."""
    lines = []
    for licence in dict.fromkeys(licences.values()):
        names = ", ".join(name for name, of in licences.items() if of == licence)
        use = (
            "NOT for commercial use"
            if licence.is_commercial is False
            else "commercial use not granted in so many words"
        )
        lines.append(f"{names}: {licence.name}, {use} ({licence.address})")
    return "\n".join(lines)


def _file() -> Path:
    return places.home() / "licences.json"


def _read() -> dict[str, str]:
    try:
        accepted = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}  # not there, or damaged: the question comes again
    return accepted if isinstance(accepted, dict) else {}

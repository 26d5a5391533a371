"""CREDITS.txt: the library sounds that are heard in a work, their authors and licences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from foleycli.library.library import SHIPPED_LIBRARY, Recording

CREDITS_NAME = "CREDITS.txt"
LICENCE_PAGES = {
    "CC-BY-2.0": "https://creativecommons.org/licenses/by/2.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "MIT": "https://opensource.org/license/mit",
}


def credits_text(recordings: Iterable[Recording], work: str) -> str:
    """The file's text: every sound once, with a line for each author and licence of its parts.

    work   what the sounds are heard in
    """
    used = sorted({one.path: one for one in recordings}.values(), key=lambda one: one.name)
    if not used:
        return f"No library sounds are used in {work}.\n"
    lines = [f"Library sounds used in {work}", ""]
    for recording in used:
        lines += [recording.name, *(f"  {line}" for line in dict.fromkeys(_lines(recording))), ""]
    licences = sorted({licence for one in used for licence in one.licences})
    if licences:
        lines += ["Licences", ""]
        lines += [f"  {licence}  {LICENCE_PAGES.get(licence, '')}".rstrip() for licence in licences]
        lines += ["", "Sounds under CC-BY are cut, levelled and mixed; their authors must be named, as here.", ""]
    return "\n".join(lines)


def _lines(recording: Recording) -> list[str]:
    if not recording.origins:
        return [f"{recording.path.name}: no licence is stated"]
    is_shipped = SHIPPED_LIBRARY in recording.path.parents
    return [_line(origin, is_shipped) for origin in recording.origins]


def _line(origin: dict[str, Any], is_shipped: bool) -> str:
    """`CC-BY-3.0  by juskiddink (cdogs-sdl-data)`."""
    author = origin.get("authors") or origin.get("author") or ("author not named" if is_shipped else "")
    source = origin.get("package") or origin.get("source") or origin.get("file", "")
    return f"{origin.get('licence') or 'no licence is stated'}  {f'by {author} ' if author else ''}({source})"

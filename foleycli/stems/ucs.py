"""Categories of the Universal Category System, and the class of sound that a category is on a stage.

The table `ucs.yaml` holds what the library's sounds are.  A category's short form, the CatID, begins a file's name by
that system: DOORWood is DOORS-WOOD.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from foleycli.library.library import Recording, open_library
from foleycli.settings import plain_yaml

TABLE = Path(__file__).with_name("ucs.yaml")
CAT_ID = re.compile(r"^[A-Z]{2,6}[A-Za-z]{0,8}$")
UNKNOWN = "FOLYMisc"  # FOLEY-MISC: performed to picture
ROOM_TONE = "AMBRoom"
FOOTSTEPS, MOVEMENT, AMBIENCE, EFFECTS = "footsteps", "movement", "ambience", "effects"
CLASSES = {  # beginnings of CatIDs; all else are effects
    FOOTSTEPS: ("FEET", "FOLYFeet"),
    MOVEMENT: ("CLOTH", "FOLYClth", "LETHR", "MOVE"),
    AMBIENCE: (
        *("AMB", "CRWD", "RAIN", "WIND", "STORM", "THUN", "WTHR", "HAIL"),
        *("WATRFlow", "WATRFall", "WATRSurf", "WATRWave"),
    ),
}


@cache
def _table() -> tuple[dict[str, str], dict[str, str]]:
    """CatIDs by the names of library sounds, and by the library's categories."""
    table = plain_yaml.read(TABLE)
    assert isinstance(table, dict)
    return {name: cat_id for cat_id, names in table["sounds"].items() for name in names}, table["categories"]


def cat_id_of(recording: Recording) -> str:
    """The CatID of a library sound, by its name, else by its category."""
    names, categories = _table()
    return names.get(recording.name) or categories.get(recording.category, UNKNOWN)


@cache
def find_cat_id(words: str) -> str:
    """The CatID of what a prompt or label names first, as the library finds it; FOLYMisc where it finds nothing."""
    found = open_library().find(words, 1) if words else []
    return cat_id_of(found[0].recording) if found else UNKNOWN


def is_cat_id(text: str) -> bool:
    """Whether a text has the form of a CatID: the list of them grows, so it is not asked."""
    return CAT_ID.match(text) is not None


def class_of(cat_id: str) -> str:
    """What kind of work a sound is: footsteps, movement, ambience or effects."""
    return next((name for name, heads in CLASSES.items() if cat_id.startswith(heads)), EFFECTS)

"""Where foley keeps what it fetches: one folder, FOLEY_HOME or the user's cache folder.

`models/` holds a folder per fetched model, `files/` what came from plain addresses, `licences.json`
which licences were accepted.  Files of the Hub stay in the Hub's own cache.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from foleycli.errors import FoleyError


def home() -> Path:
    """FOLEY_HOME, else `foley` in the user's cache folder of this system; it need not exist."""
    if named := os.environ.get("FOLEY_HOME"):
        return Path(named).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "foley"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "foley"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "foley"


def models_folder() -> Path:
    """Where fetched and imported models lie, each in a folder of its name."""
    return home() / "models"


def installed() -> list[Path]:
    """The folders of all fetched and imported models."""
    found = (config.parent for config in models_folder().glob("*/config.json"))
    return sorted(folder for folder in found if not folder.name.startswith("."))  # those are being filled


def make_folder(folder: Path) -> Path:
    """Make a folder; errors: FoleyError when it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FoleyError(
            f"{folder} cannot be made: {error.strerror}", "Set FOLEY_HOME to a folder that can be written"
        ) from error
    return folder

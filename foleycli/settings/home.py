"""The folder in which foley keeps what outlives a run: FOLEY_HOME, or the user's cache folder."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import platformdirs

from foleycli.errors import FoleyError
from foleycli.settings.checking import expand_user

HOME_HINT = "Set FOLEY_HOME to a folder that can be written"


def home() -> Path:
    """FOLEY_HOME, else `foley` in the user's cache folder of this system; it need not exist.

    Errors: FoleyError when neither is known.
    """
    if named := os.environ.get("FOLEY_HOME"):
        return expand_user(named).absolute()
    with suppress(RuntimeError):  # newer versions of platformdirs raise it where older ones give "~/..."
        folder = platformdirs.user_cache_path("foley", appauthor=False, opinion=False)
        if folder.is_absolute():
            return folder
    raise FoleyError("this user has no home folder to keep models in", HOME_HINT)

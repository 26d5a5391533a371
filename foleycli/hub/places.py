"""Where foley keeps what it fetches: one folder, FOLEY_HOME or the user's cache folder.

`models/` holds a folder per fetched model, `files/` what came from plain addresses, `locks/` the locks of running
processes, `licences.json` which licences were accepted, `ffmpeg.json` what ffmpeg said of itself, `references/`
latents of the shipped recordings.  Files of the Hub stay in the Hub's own cache.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.settings.checking import check_name
from foleycli.settings.home import HOME_HINT, home


def models_folder() -> Path:
    """Where fetched and imported models are kept, each in a folder of its name."""
    return home() / "models"


def model_folder(name: str) -> Path:
    """The folder of a fetched or imported model; errors: FoleyError for what is no plain name."""
    return models_folder() / check_name(name, "the model name")


def installed() -> list[Path]:
    """The folders of all fetched and imported models; none where no place for them is known."""
    with suppress(FoleyError, OSError):
        found = (config.parent for config in models_folder().glob("*/config.json"))
        return sorted(folder for folder in found if not folder.name.startswith("."))  # those are being filled
    return []


def make_folder(folder: Path) -> Path:
    """Make a folder; errors: FoleyError when it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FoleyError(f"{folder} cannot be made: {error.strerror}", HOME_HINT) from error
    return folder

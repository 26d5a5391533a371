"""A client of a Dask scheduler, for whatever is divided among machines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from foleycli.errors import FoleyError

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 30.0
INSTALL = "Install it: pip install 'foleycli[cluster]'"


def connect(address: str, name: str) -> Client:
    """A client of the scheduler at an address (tcp://HOST:8786), or of the one whose `--scheduler-file` it is.

    Errors: FoleyError where distributed is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise FoleyError("--scheduler needs the package distributed", INSTALL) from error
    try:
        if os.path.isfile(address):
            return Client(scheduler_file=address, timeout=CONNECT_S, set_as_default=False, name=name)
        return Client(address, timeout=CONNECT_S, set_as_default=False, name=name)
    except (OSError, ValueError) as error:
        raise FoleyError(
            f"no Dask scheduler answers at {address}", "Start one: dask scheduler; then dask worker ADDRESS"
        ) from error

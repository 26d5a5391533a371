"""What can go wrong between here and a publisher, as errors that say what to do.

The Hub's client and the network under it raise some twenty types; all of them leave here as FoleyError.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from foleycli.errors import FoleyError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
KEPT = "what has arrived is kept; the same command goes on from there"
BY_HAND = "get the file yourself, then: foley models import PATH --family mmaudio (or vaura)"


@contextmanager
def translate_errors(what: str, where: str) -> Iterator[None]:
    """Turn whatever the block raises into a FoleyError about `what` (a file, an upload) at `where` (a repository
    or an address); a bug keeps its type."""
    try:
        yield
    except FoleyError:
        raise
    except Exception as error:
        translations = (_hub_error, _status_error, _disk_error, _network_error)
        found = next((found for translate in translations if (found := translate(error, what, where))), None)
        if found is None:
            raise
        raise found from error


def _hub_error(error: Exception, what: str, where: str) -> FoleyError | None:
    """The Hub's own refusals."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.OfflineModeIsEnabled):
        return FoleyError(f"{what} is not on this machine, and HF_HUB_OFFLINE is set", f"Unset it; or {BY_HAND}")
    if isinstance(error, errors.GatedRepoError):
        return FoleyError(
            f"{where} is gated: {what} is given only to people who accepted its terms",
            f"Accept them at {constants.ENDPOINT}/{where}, then: hf auth login (or set HF_TOKEN)",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return FoleyError(f"{where} has no such revision of {what}", f"Update foley; or {BY_HAND}")
    if isinstance(error, errors.RepositoryNotFoundError):
        return FoleyError(
            f"{where} was not found at {constants.ENDPOINT}, or this token may not see it",
            "Check HF_ENDPOINT and HF_TOKEN (hf auth whoami)",
        )
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return FoleyError(f"{where} has no file {what}", f"The publisher moved it: update foley; or {BY_HAND}")
    if isinstance(error, errors.FileMetadataError):
        return FoleyError(
            f"{constants.ENDPOINT} does not answer like the Hub when asked for {what}",
            "Check HF_ENDPOINT, and whether a proxy or a login page is in between",
        )
    return None


def _status_error(error: Exception, what: str, where: str) -> FoleyError | None:
    """Any other answer that is no success."""
    code = getattr(getattr(error, "response", None), "status_code", None)
    if code is None or code < 400:
        return None
    if "://" in where and code in (401, 403):  # a plain address: neither a token nor an account of the Hub's helps
        return FoleyError(f"{where} refuses {what} (it answered {code})", f"Try again later; or {BY_HAND}")
    if code == 401:
        return FoleyError(f"{where} does not accept this token", "Log in again: hf auth login (or set HF_TOKEN)")
    if code == 403:
        return FoleyError(f"{where} refuses {what}", "The token has no right to it; whose is it: hf auth whoami")
    if code in (404, 410):
        return FoleyError(f"{what} is no longer at {where}", f"Update foley; or {BY_HAND}")
    if code == 429:
        return FoleyError(f"{where} says there were too many requests", f"Wait some minutes; {KEPT}")
    return FoleyError(f"{where} answered {code} when asked for {what}", f"Try again later; {KEPT}")


def _disk_error(error: Exception, what: str, where: str) -> FoleyError | None:
    """What the disk refuses, and a transfer that ended early (which the client reports as an OSError)."""
    if not isinstance(error, OSError):
        return None
    if error.errno in NO_ROOM:
        return FoleyError(
            f"no room on the disk for {what}", f"Make room, or set {_homes(where)} to another disk; {KEPT}"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return FoleyError(
            f"{what} cannot be written: {error.strerror} ({error.filename})",
            f"Set {_homes(where)} to a folder that can be written",
        )
    if "onsistency check failed" in str(error):
        return FoleyError(f"{what} came only in part", f"Check the connection; {KEPT}")
    return None


def _homes(where: str) -> str:
    """The variables that say where files are kept: from the Hub in its cache too, all others by foley alone."""
    is_of_the_hub = "://" not in where and not os.path.isabs(where)
    return "HF_HOME and FOLEY_HOME" if is_of_the_hub else "FOLEY_HOME"


def is_network(error: Exception) -> bool:
    """Whether the connection failed, as against an answer that says no."""
    is_client = type(error).__module__.startswith(("httpx", "httpcore", "requests", "urllib3"))
    is_answer = getattr(error, "response", None) is not None
    return not is_answer and (is_client or isinstance(error, (ConnectionError, TimeoutError)))


def _network_error(error: Exception, what: str, where: str) -> FoleyError | None:
    """No answer at all."""
    if not is_network(error):
        return None
    endpoint = "" if "://" in where else " and HF_ENDPOINT"  # which is the Hub's alone
    return FoleyError(
        f"{what}: no connection to {where} ({type(error).__name__})", f"Check the network{endpoint}; {KEPT}"
    )


def no_room(what: str, need_bytes: int, free_bytes: int, folder: object) -> FoleyError:
    """Said before a download begins that could not end."""
    return FoleyError(
        f"{what} needs {need_bytes / 1e9:.2f} GB more in {folder}, which has {free_bytes / 1e9:.2f} GB",
        "Make room, or set HF_HOME and FOLEY_HOME to a larger disk",
    )

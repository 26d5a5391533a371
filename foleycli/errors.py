"""Errors that a user can act on: what is wrong with which value, and what to do next.

Library code raises these; the command line prints them as two lines and exits with `exit_code`.
Anything else that escapes is a bug and keeps its traceback.
"""

import errno

EXIT_FAILED = 1  # the work failed or was refused
EXIT_USAGE = 2  # unknown option, value out of range or not a number
EXIT_SOME_FAILED = 3  # some of several inputs failed
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143  # SIGTERM: from `timeout`, systemd, a batch queue

PATH_ERRNOS = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EROFS)


class FoleyError(Exception):
    """The work cannot be done; `hint` says what to do about it."""

    exit_code = EXIT_FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(FoleyError):
    """An option's value is out of its range or makes no sense beside another option."""

    exit_code = EXIT_USAGE


def path_error(error: BaseException) -> FoleyError | None:
    """What to say of a path that the system refuses: too long, no permission, links in a circle; None: it is a bug."""
    if not isinstance(error, OSError) or error.filename is None or error.errno not in PATH_ERRNOS:
        return None
    reason = (error.strerror or "").lower()
    return FoleyError(f"{error.filename} cannot be used: {reason}", "Check the name, its folders and their permissions")


def as_foley_error(error: Exception) -> FoleyError:
    """An error of one of several inputs, for its user; one that nobody foresaw says that it is a bug."""
    if isinstance(error, FoleyError):
        return error
    hint = "This is a bug; FOLEY_DEBUG=1 shows where it came from"
    return path_error(error) or FoleyError(f"{type(error).__name__}: {error}", hint)

"""Errors that a user can act on: what is wrong with which value, and what to do next.

Library code raises these; the command line prints them as two lines and exits with `exit_code`.
Anything else that escapes is a bug and keeps its traceback.
"""

EXIT_FAILED = 1  # the work failed or was refused
EXIT_USAGE = 2  # unknown option, value out of range or not a number
EXIT_SOME_FAILED = 3  # some of several inputs failed
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143  # SIGTERM: from `timeout`, systemd, a batch queue


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

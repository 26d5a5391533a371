"""Tasks for worker processes, one of which dies; imports nothing, so that processes begin fast."""

import os


def exits(task: int) -> int:
    """Ends its process, as a decoder's crash does, unless its task has become negative."""
    if task == 2:
        os._exit(1)
    return task


def negated(task: int) -> int:
    return -task

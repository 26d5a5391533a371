"""A row with the processor time that its making took, for processes that a test cannot look into."""

from __future__ import annotations

import time
from dataclasses import replace

from foleycli.batch.work import Outcome, Task, make_row


def timed_row(task: Task) -> Outcome:
    """`make_row`; its thread's processor seconds are in `trace`, where nothing else is when all is well."""
    began_s = time.thread_time()
    outcome = make_row(task)
    return replace(outcome, trace=outcome.trace or repr(time.thread_time() - began_s))

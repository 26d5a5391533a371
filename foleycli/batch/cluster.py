"""Rows made by the workers of a Dask cluster, on machines that see the same folders.

Dask gives the row of a worker that is lost to another one.  A row is not made twice: who makes it holds its record,
and looks there first whether it is done.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING

from foleycli.batch.work import Outcome, Task, failure, make_row
from foleycli.cluster import connect
from foleycli.errors import FoleyError

if TYPE_CHECKING:
    from distributed import Client

AT_ONCE = 2000  # rows that the scheduler knows of: enough for any number of workers, little memory


def run_on_cluster(tasks: Sequence[Task], address: str) -> Iterator[Outcome]:
    """Rows as they finish; workers may come and go meanwhile.

    address   of the scheduler (tcp://HOST:8786), or the file that `dask scheduler --scheduler-file` wrote
    Errors: FoleyError where distributed is not installed, or no scheduler answers.
    """
    with connect(address, "foley-batch") as client, _quiet(client):
        from distributed import as_completed

        run, left = uuid.uuid4().hex[:8], iter(tasks)

        def submitted(task: Task):  # noqa: ANN202  # a Future
            future = client.submit(make_row, task, key=f"foley-{run}-{task.number}", pure=False)
            by_key[future.key] = task
            return future

        by_key: dict[str, Task] = {}
        done = as_completed([submitted(task) for task in islice(left, AT_ONCE)], loop=client.loop)
        for future in done:
            task = by_key.pop(future.key)
            yield _outcome(task, future.exception()) if future.status != "finished" else future.result()
            future.release()
            if (following := next(left, None)) is not None:
                done.add(submitted(following))


@contextmanager
def _quiet(client: Client) -> Iterator[None]:
    """Let no worker measure itself meanwhile."""
    from foleycli.batch.quiet_worker import QuietWorker

    client.register_plugin(QuietWorker())
    try:
        yield
    finally:
        with suppress(OSError, TimeoutError):  # the scheduler is gone
            client.unregister_worker_plugin(QuietWorker.name)


def _outcome(task: Task, error: BaseException | None) -> Outcome:
    """The outcome of a row that no worker could finish."""
    if error is None:
        error = FoleyError("the scheduler dropped the row", "Call foley batch again: it goes on where this one stopped")
    elif type(error).__name__ == "KilledWorker":
        message = "every worker that tried this row died"
        error = FoleyError(message, "They may have run out of memory: see the log of dask worker")
    return failure(task.number, task.source, error if isinstance(error, Exception) else RuntimeError(str(error)))

"""Tasks to worker processes, here or on a Dask cluster.

Dask gives an executor like the one that Python has, so all that differs is which one is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

from foleycli.cluster import connect
from foleycli.errors import FoleyError

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_tasks(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    jobs: int = 1,
    scheduler: str = "",
    after_crash: Callable[[Task], Task] | None = None,
) -> Iterator[Result]:
    """The results of all tasks, in the order in which they are done.

    jobs         so many processes; 1: in this one
    scheduler    address of a Dask scheduler, whose workers do it instead
    after_crash  what to try in place of a task whose process died (a decoder's crash takes all with it); None: an error
    Errors: what `function` raises, FoleyError where a process dies.
    """
    if jobs == 1 and not scheduler:
        yield from map(function, tasks)
        return
    left = list(tasks)
    with executor(min(jobs, max(1, len(left))), scheduler) as pool:
        futures = {pool.submit(function, task): task for task in left}
        try:
            for future in as_completed(futures):
                result = future.result()
                left.remove(futures[future])
                yield result
        except BrokenProcessPool:
            pass  # all that were at work or waiting are broken with the one that died: each is tried alone
        finally:
            for future in futures:
                future.cancel()
    for task in left:
        yield _alone(function, task, after_crash)


def _alone(
    function: Callable[[Task], Result], task: Task, after_crash: Callable[[Task], Task] | None, n_tries: int = 20
) -> Result:
    """A task in a process of its own, changed by `after_crash` as often as the process dies."""
    for _ in range(n_tries):
        with executor(1, "") as pool:
            try:
                return pool.submit(function, task).result()
            except BrokenProcessPool:
                if after_crash is None:
                    break
                task = after_crash(task)
    raise FoleyError("a worker process died again and again", "Look for what the system says: out of memory?")


@contextmanager
def executor(jobs: int, scheduler: str) -> Iterator[Executor]:
    """Worker processes on this machine, or those of a Dask scheduler; errors: FoleyError where that is not there."""
    if not scheduler:
        # Not forked: torch's threads and what ffmpeg has open do not survive that.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            yield pool
        return
    with connect(scheduler, "foley-data") as client, client.get_executor() as pool:
        yield pool

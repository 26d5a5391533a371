"""Rows made by several processes of this machine, each with a model of its own.

A process that dies (killed for want of memory, crashed) costs its row one more try in a new one, and no other row.
When this process is gone, by whatever signal, the workers end at once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from foleycli.batch.work import Outcome, Task, failure, make_row
from foleycli.errors import EXIT_TERMINATED, FoleyError
from foleycli.threads import USER_VARIABLES, usable_cpus

MOST_TRIES = 2  # of a row whose worker died
STOP_S = 10.0  # for a worker to clean up when it is told to stop


def threads_each(n_workers: int, threads: int | None) -> int | None:
    """The threads of each worker, where neither option nor environment says how many; None: as torch chooses."""
    if threads is not None or n_workers == 1 or any(name in os.environ for name in USER_VARIABLES):
        return threads
    return max(1, usable_cpus() // n_workers)


def run_here(tasks: Sequence[Task]) -> Iterator[Outcome]:
    """Rows one after another in this process."""
    return map(make_row, tasks)


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    task: Task | None = None  # at work


def run_in_processes(tasks: Sequence[Task], n_workers: int) -> Iterator[Outcome]:
    """Rows as they finish, made by so many processes; errors: FoleyError when every worker dies at its first row."""
    waiting, tries = deque(tasks), Counter[int]()
    workers: list[_Worker] = []
    n_deaths, is_proven = 0, False
    try:
        while waiting or any(worker.task for worker in workers):
            while waiting and len(workers) < n_workers:
                workers.append(_started())
            for worker in workers:
                if worker.task is None and waiting:
                    _give(worker, waiting.popleft(), tries)
            ready = wait([worker.connection for worker in workers if worker.task])
            for worker in [worker for worker in workers if worker.connection in ready]:
                task, outcome = worker.task, _received(worker)
                assert task is not None
                worker.task = None
                if outcome is not None:
                    is_proven = True
                    yield outcome
                    continue
                workers.remove(worker)
                n_deaths += 1
                error = _death(worker)
                if not is_proven and n_deaths > 2 * n_workers:
                    raise error
                if tries[task.number] < MOST_TRIES:
                    waiting.appendleft(task)
                else:
                    yield failure(task.number, task.source, error)
    finally:
        _stop(workers)


def _started() -> _Worker:
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads can hang
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    process.start()
    theirs.close()  # the worker alone has it: when it dies, ours is at its end
    return _Worker(process, ours)


def _give(worker: _Worker, task: Task, tries: Counter[int]) -> None:
    worker.task = task
    tries[task.number] += 1
    with suppress(OSError):  # it has died meanwhile; that shows when its answer is waited for
        worker.connection.send(task)


def _received(worker: _Worker) -> Outcome | None:
    """The outcome of a worker's task; None: it died."""
    try:
        return worker.connection.recv()
    except (EOFError, OSError):
        return None


def _death(worker: _Worker) -> FoleyError:
    worker.process.join(STOP_S)
    code = worker.process.exitcode or 0
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    hint = "It may have run out of memory: use fewer --jobs" if code == -9 else "FOLEY_DEBUG=1 with --jobs 1 shows more"
    return FoleyError(f"the worker process {how}", hint)


def _stop(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.connection.close()  # an idle worker ends
        if worker.task is not None:
            worker.process.terminate()
    for worker in workers:
        worker.process.join(STOP_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _work(connection: Connection) -> None:
    """What a worker does: rows until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process says what is to be done
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))  # which removes temporary files
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            connection.send(make_row(connection.recv()))


def _end_with_parent() -> None:
    """End this process at once when the one that started it is gone: another call may take over its row."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(EXIT_TERMINATED)

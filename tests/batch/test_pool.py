"""Worker processes: one that is killed costs its row another try, and no worker outlives the call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import soundfile

from foleycli.batch import pool
from foleycli.errors import FoleyError


def test_a_killed_worker_costs_its_row_another_try(tasks_of, clips, killing):
    tasks = tasks_of(clips("short.mp4"), 2)
    broken = replace(tasks[0], number=3, model=replace(tasks[0].model, folder=tasks[0].source.parent))
    killed = killing()
    outcomes = {outcome.number: outcome for outcome in pool.run_in_processes([*tasks, broken], 1)}
    assert [outcomes[number].status for number in (1, 2, 3)] == ["done", "done", "failed"]
    assert outcomes[3].error and outcomes[3].hint, "a model that cannot be loaded fails its own rows"
    assert killed and killed[0] not in {outcomes[1].worker, outcomes[2].worker}
    for task in tasks:
        assert soundfile.info(task.job.out).duration == pytest.approx(0.2)
        assert task.record.done(task.key, task.inputs)
    worker = int(outcomes[2].worker.split(":")[1])
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_workers_that_all_die_end_the_batch(tasks_of, clips, monkeypatch):
    def started():
        ours, theirs = pool.multiprocessing.Pipe()
        process = pool.multiprocessing.get_context("fork").Process(target=os._exit, args=(9,))
        process.start()
        theirs.close()
        return pool._Worker(process, ours)

    monkeypatch.setattr(pool, "_started", started)
    with pytest.raises(FoleyError, match="ended with code 9"):
        list(pool.run_in_processes(tasks_of(clips("short.mp4"), 8), 2))


def test_a_worker_ends_when_its_parent_is_killed():
    code = """if True:
        import time
        from foleycli.batch import pool
        if __name__ == "__main__":
            worker = pool._started()
            print(worker.process.pid, flush=True)
            time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    time.sleep(0.2)
    parent.kill()
    parent.wait()
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker lives on")


def test_threads_are_shared_out(monkeypatch):
    for name in pool.USER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pool, "usable_cpus", lambda: 8)
    assert [pool.threads_each(n, None) for n in (1, 2, 3, 16)] == [None, 4, 2, 1]
    assert pool.threads_each(4, 5) == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert pool.threads_each(4, None) is None

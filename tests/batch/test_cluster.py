"""Rows on a Dask cluster: a worker that is lost costs its row another try, and no row is made twice."""

from __future__ import annotations

import gc
import os
import re
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path

import pytest
import soundfile
from timed_rows import timed_row

from foleycli.batch import work
from foleycli.batch.cluster import run_on_cluster
from foleycli.batch.work import Outcome
from foleycli.cli.guide import read
from foleycli.errors import FoleyError
from foleycli.settings.settings import Settings

distributed = pytest.importorskip("distributed", reason="the extra foleycli[cluster] is not installed")


@contextmanager
def cluster(n_workers: int, folder: Path) -> Iterator[distributed.LocalCluster]:
    """Processes of this machine, each with a nanny that starts it anew when it dies."""
    local = distributed.LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        dashboard_address=None,
        local_directory=str(folder),
        silence_logs="CRITICAL",
    )
    try:
        yield local
    finally:
        with suppress(TimeoutError):  # it waits 5 s for a worker to end, which a busy machine may not give
            local.close()


def profiles(local: distributed.LocalCluster) -> list[bool]:
    """Of each worker whether it makes a profile of itself."""
    with distributed.Client(local.scheduler_address, set_as_default=False) as client:
        found = client.run(lambda dask_worker: "profile" in dask_worker.periodic_callbacks)
    return list(found.values())


def test_a_lost_workers_row_is_made_again_and_none_twice(tasks_of, clips, tmp_path, killing):
    tasks = tasks_of(clips("short.mp4"), 3)
    killed = killing()
    with cluster(1, tmp_path / "dask") as local:
        rows = run_on_cluster(tasks, local.scheduler_address)
        first = next(rows)
        seen = profiles(local)
        outcomes = [first, *rows]
        assert sorted((outcome.number, outcome.status) for outcome in outcomes) == [(k, "done") for k in (1, 2, 3)]
        assert killed and killed[0] not in {outcome.worker for outcome in outcomes}
        assert all(soundfile.info(task.job.out).duration == pytest.approx(0.2) for task in tasks)
        before = [task.job.out.stat().st_mtime_ns for task in tasks]
        again = list(run_on_cluster(tasks, local.scheduler_address))  # as a scheduler does that has lost its answers
        assert seen == [False] and profiles(local) == [True], "workers measure themselves again after a batch"
    assert [outcome.status for outcome in again] == ["done"] * 3
    assert [task.job.out.stat().st_mtime_ns for task in tasks] == before, "what is done is not made again"


def test_no_scheduler_is_one_clear_error(tasks_of, clips, monkeypatch):
    monkeypatch.setattr("foleycli.cluster.CONNECT_S", 0.2)
    for address in ("tcp://127.0.0.1:9", "nonsense", "ftp://x"):
        with pytest.raises(FoleyError) as error:
            list(run_on_cluster([], address))
        assert address in error.value.message and "dask scheduler" in error.value.hint
        # A client that failed holds a lock of its class while it is collected: not while the next one starts.
        del error
        gc.collect()


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(FoleyError) as error:
        list(run_on_cluster([], "tcp://127.0.0.1:9"))
    assert "foleycli[cluster]" in error.value.hint


def test_a_worker_of_another_version_refuses_rows(tasks_of, clips, monkeypatch):
    (task,) = tasks_of(clips("short.mp4"), 1)
    monkeypatch.setattr(work, "__version__", "999")
    outcome = work.make_row(task)
    assert outcome.status == "failed" and "foley 999" in outcome.error and not task.job.out.exists()


def test_the_guides_recipe_for_slurm_asks_for_workers_as_it_says(monkeypatch, capsys):
    jobqueue = pytest.importorskip("dask_jobqueue", reason="the extra foleycli[cluster] is not installed")
    (recipe,) = re.findall(r"```python\n(.*?)```", read("batches"), flags=re.DOTALL)
    adapted: list[dict] = []
    monkeypatch.setattr(jobqueue.SLURMCluster, "adapt", lambda self, **how: adapted.append(how))
    monkeypatch.setattr("builtins.input", lambda *_: "")
    names: dict = {}
    exec(recipe, names)
    with names["cluster"] as local:
        script = local.job_script()
        assert capsys.readouterr().out.strip() == local.scheduler_address
    assert "#SBATCH -p cpu" in script and "#SBATCH --mem=23G" in script and "#SBATCH -t 04:00:00" in script
    assert all(option in script for option in ("--nthreads 1 ", "--nworkers 16 ", "--lifetime 230m"))
    assert "source /shared/foley/.venv/bin/activate\nexport OMP_NUM_THREADS=1" in script
    assert adapted == [{"minimum_jobs": 1, "maximum_jobs": 8}]


def cpu_s(outcomes: list[Outcome]) -> float:
    """Processor seconds of the middle row: those that load a model, or wait for a lock, are beside it."""
    return statistics.median(float(outcome.trace) for outcome in outcomes)


@pytest.mark.slow
def test_sixty_rows_on_three_workers_one_of_which_is_killed(tasks_of, clips, tmp_path, killing, monkeypatch):
    """Efficiency: the share of the workers' time that goes into rows (what loading, a new worker and a lost row cost,
    and waiting), times how much more processor time a row takes there than in a single run at the same time.  Neither
    depends on what else the machine does, as seconds by the clock do."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    clip, settings = clips("reordered.mp4"), Settings(prompt="glass breaking")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # where other processes find `timed_row`
    single = tasks_of(clip, 20, settings, out="alone")
    tasks = tasks_of(clip, 60, settings)
    killed = killing(n_done=15, poll_s=0.2)
    monkeypatch.setattr("foleycli.batch.cluster.make_row", timed_row)
    with cluster(3, tmp_path / "dask") as local, ProcessPoolExecutor(1, get_context("spawn")) as beside:
        made_alone = beside.map(timed_row, single)
        began_s = time.monotonic()
        outcomes = list(run_on_cluster(tasks, local.scheduler_address))
        spent_s = time.monotonic() - began_s
        alone = list(made_alone)
    busy, row = sum(outcome.spent_s for outcome in outcomes) / (3 * spent_s), cpu_s(alone) / cpu_s(outcomes)
    print(f"{busy:.2f} of the workers' time in rows, which cost 1 / {row:.2f} of what they cost alone")

    assert sorted((outcome.number, outcome.status) for outcome in outcomes) == [(k, "done") for k in range(1, 61)]
    assert killed and len({outcome.worker for outcome in outcomes}) == 4
    for task in tasks:
        said = task.record.done(task.key, task.inputs)
        assert said and said["n_made"] == 1 and task.job.is_done()
    assert busy * min(1.0, row) >= 0.8

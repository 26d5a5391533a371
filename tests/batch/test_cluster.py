"""Rows on a Dask cluster: a worker that is lost costs its row another try, and no row is made twice."""

from __future__ import annotations

import gc
import re
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import soundfile

from foleycli.batch import work
from foleycli.batch.cluster import run_on_cluster
from foleycli.batch.pool import run_in_processes
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


def cpu_s() -> float:
    """Processor seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@pytest.mark.slow
def test_sixty_rows_on_three_workers_one_of_which_is_killed(tasks_of, clips, tmp_path, killing, monkeypatch):
    """What the cluster costs beyond three processes that make a third of the rows each; idle cores would be seen by
    the clock alone, which other work on the machine disturbs: it is printed."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    clip, settings = clips("reordered.mp4"), Settings(prompt="glass breaking")
    began_s, before_s = time.monotonic(), cpu_s()
    for k in range(3):
        alone = list(run_in_processes(tasks_of(clip, 20, settings, out=f"alone{k}"), 1))
        assert all(outcome.status == "done" for outcome in alone)
    single_s, single_cpu_s = time.monotonic() - began_s, cpu_s() - before_s

    tasks = tasks_of(clip, 60, settings)
    killed = killing(n_done=15)
    began_s, before_s = time.monotonic(), cpu_s()
    with cluster(3, tmp_path / "dask") as local:
        outcomes = list(run_on_cluster(tasks, local.scheduler_address))
        spent_s = time.monotonic() - began_s
    efficiency = single_cpu_s / (cpu_s() - before_s)
    by_clock = single_s / 2 / spent_s
    print(f"efficiency {efficiency:.2f} by processor time, {by_clock:.2f} of two cores by the clock")

    assert sorted((outcome.number, outcome.status) for outcome in outcomes) == [(k, "done") for k in range(1, 61)]
    assert killed and len({outcome.worker for outcome in outcomes}) == 4
    for task in tasks:
        said = task.record.done(task.key, task.inputs)
        assert said and said["n_made"] == 1 and task.job.is_done()
    assert efficiency >= 0.8

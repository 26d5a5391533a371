"""Threads follow what a process may use, a user's own settings win, and waiting threads sleep."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from foleycli.threads import cgroup_quota_cpus, decoder_threads, usable_cpus

WANTED = "from foleycli.threads import import_torch; import_torch({}); import os, torch; "


def run(code: str, **variables: str) -> str:
    """What a process prints that has none of this one's settings for threads."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "MKL_", "GOMP_", "KMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**kept, **variables}
    )
    return done.stdout.strip()


def cgroup(root: Path, lines: str, **quotas: str) -> Path:
    """A made-up /proc and /sys; `quotas` are files under /sys/fs/cgroup with __ for /."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(lines)
    for name, text in quotas.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/")
        path = path.with_name(path.name.replace("_dot_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_quota_of_version_2_counts_wherever_it_stands(tmp_path):
    root = cgroup(
        tmp_path, "0::/outer/inner\n", outer__inner__cpu_dot_max="max 100000", outer__cpu_dot_max="150000 100000"
    )
    assert cgroup_quota_cpus(root) == 1.5
    assert usable_cpus(root) == min(2, len(os.sched_getaffinity(0)))


def test_a_container_that_sees_its_own_group_as_root(tmp_path):
    assert cgroup_quota_cpus(cgroup(tmp_path, "0::/docker/abc\n", cpu_dot_max="50000 100000")) == 0.5
    assert usable_cpus(tmp_path) == 1


def test_a_quota_of_version_1(tmp_path):
    root = cgroup(
        tmp_path,
        "9:name=systemd:/\n2:cpu,cpuacct:/job\n",
        cpu__job__cpu_dot_cfs_quota_us="300000",
        cpu__job__cpu_dot_cfs_period_us="100000",
        cpu__cpu_dot_cfs_quota_us="-1",
        cpu__cpu_dot_cfs_period_us="100000",
    )
    assert cgroup_quota_cpus(root) == 3


@pytest.mark.parametrize("quota", ["max 100000", "", "1 0", "some words"])
def test_no_quota(tmp_path, quota):
    assert cgroup_quota_cpus(cgroup(tmp_path, "0::/\n", cpu_dot_max=quota)) == math.inf
    assert cgroup_quota_cpus(tmp_path / "nowhere") == math.inf
    assert usable_cpus(tmp_path) == len(os.sched_getaffinity(0))


def test_a_given_number_wins_then_the_user_s_variables_then_the_quota():
    quota = "import foleycli.threads as t; t.cgroup_quota_cpus = lambda root: 1.0; "
    told = "print(torch.get_num_threads())"
    assert run(WANTED.format(3) + told, OMP_NUM_THREADS="2") == "3"
    assert run(quota + WANTED.format("") + told, OMP_NUM_THREADS="2") == "2"
    assert run(quota + WANTED.format("") + told) == "1"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="affinity")
def test_threads_follow_affinity():
    cpu = min(os.sched_getaffinity(0))
    told = run(f"import os; os.sched_setaffinity(0, [{cpu}]); " + WANTED.format("") + "print(torch.get_num_threads())")
    assert told == "1"


def test_waiting_threads_sleep_unless_the_user_chose():
    told = "print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('GOMP_SPINCOUNT'))"
    assert run(WANTED.format("") + told) == "PASSIVE 1000"
    assert run(WANTED.format("") + told, OMP_WAIT_POLICY="ACTIVE") == "ACTIVE None"
    assert run(WANTED.format("") + told, GOMP_SPINCOUNT="9") == "None 9"


@pytest.mark.parametrize("command", [("render", "x.mp4"), ("extend", "--ref", "x.wav"), ("bench",), ("evaluate", "x")])
def test_commands_refuse_no_threads(foley, command):
    told = foley(*command, "--threads", 0)
    assert told.code == 2 and "--threads" in told.error


@pytest.mark.parametrize(("threads", "wanted"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_a_video_is_read_by_half_as_many_threads_as_the_networks_have(threads, wanted):
    assert run(
        WANTED.format(threads) + "from foleycli.threads import decoder_threads; print(decoder_threads())"
    ) == str(wanted)


def test_before_torch_is_there_the_processors_count(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert decoder_threads() == max(1, usable_cpus() // 2)

"""The table of `foley bench`, from rows as a bench makes them."""

import json
from pathlib import Path

import pytest
import torch

from foleycli.cli import bench
from foleycli.rendering.bench import Bench, Machine, Row, process_peak_mb
from foleycli.rendering.cost import Speed

STAGE_S = {"decode": 0.5, "features": 1.0, "sampler": 2.0, "codec": 0.75, "mux": 0.25}


def rows() -> list[Row]:
    return [
        Row(4, 10.0, STAGE_S, wall_s=5.0, cpu_s=4.5, peak_memory_mb=800.0),
        Row(8, 10.0, {**STAGE_S, "sampler": 4.0}, wall_s=6.5, cpu_s=6.0, peak_memory_mb=801.0),
    ]


def test_real_time_factor_is_work_per_second_of_video():
    assert [row.real_time_factor for row in rows()] == [0.5, 0.65]


def test_shares_are_of_the_whole_and_name_what_is_in_no_stage():
    shares = rows()[0].shares
    assert shares == {"decode": 0.1, "features": 0.2, "sampler": 0.4, "codec": 0.15, "mux": 0.05, "rest": 0.1}


def test_table_has_a_line_per_number_of_steps(capsys):
    machine = Machine("Chip 9", usable_cpus=4, threads=2, gpu="", versions={"torch": "2.9.9"})
    measured = Bench("bare", "cpu", 3.0, rows(), Speed(3.0, 0.175, 0.05, 0.075, 801.0), machine)
    bench._show(measured, Path("clip.mp4"), quiet=False)
    told = capsys.readouterr()
    headings, first, _ = (line.split("\t") for line in told.out.splitlines())
    assert dict(zip(headings, first, strict=True)) == {
        "steps": "4", "decode s": "0.50", "features s": "1.00", "sampler s": "2.00", "codec s": "0.75",
        "mux s": "0.25", "all s": "5.00", "CPU s": "4.50", "real-time factor": "0.500", "peak MB": "800",
    }  # fmt: skip
    assert "per_step=0.05" in told.err and "clip.mp4, 10.0 s, bare on cpu" in told.err
    assert "Chip 9, 2 threads; torch 2.9.9" in told.err


def test_json_says_on_which_machine_and_where_the_time_went(foley, clips):
    told = foley("bench", clips("plain.mp4"), "--steps", "1", "--json", "-q")
    facts = json.loads(told.out)
    [row] = facts["rows"]
    assert sum(row["shares"].values()) == pytest.approx(1.0, abs=0.01) and row["cpu_s"] > 0
    assert set(row["shares"]) == {*STAGE_S, "rest"}
    machine = facts["machine"]
    assert machine["cpu"] and machine["usable_cpus"] >= 1 and machine["threads"] == torch.get_num_threads()
    assert machine["versions"]["torch"] == torch.__version__ and all(machine["versions"].values())


def test_process_memory_is_in_megabytes():
    before = process_peak_mb()
    block = bytearray(300_000_000)
    block[::4096] = b"x" * len(block[::4096])
    assert 20 < before < process_peak_mb() < 100_000
    assert process_peak_mb() >= 300


def test_steps_in_one_list_or_several():
    assert bench.step_counts(["4,8", "32"]) == bench.step_counts(["4", "8", "32"]) == [4, 8, 32]


@pytest.mark.parametrize("given", ["0", "65", "4,", "4;8", "-1", "1.5", "²"])
def test_what_is_no_number_of_steps_is_refused(foley, given):
    told = foley("bench", "--steps", given)
    assert told.code == 2 and "Give whole numbers from 1 to 64" in told.error

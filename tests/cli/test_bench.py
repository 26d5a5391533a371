"""The table of `foley bench`, from rows as a bench makes them."""

from pathlib import Path

import pytest

from foleycli.cli import bench
from foleycli.rendering.bench import Bench, Row, process_peak_mb
from foleycli.rendering.cost import Speed

STAGE_S = {"decode": 0.5, "features": 1.0, "sampler": 2.0, "codec": 0.75, "mux": 0.25}


def rows() -> list[Row]:
    return [Row(4, 10.0, STAGE_S, 4.5, 800.0), Row(8, 10.0, {**STAGE_S, "sampler": 4.0}, 6.5, 801.0)]


def test_real_time_factor_is_work_per_second_of_video():
    assert [row.real_time_factor for row in rows()] == [0.45, 0.65]


def test_table_has_a_line_per_number_of_steps(capsys):
    measured = Bench("bare", "cpu", 3.0, rows(), Speed(3.0, 0.175, 0.05, 0.075, 801.0))
    bench._show(measured, Path("clip.mp4"), quiet=False)
    told = capsys.readouterr()
    headings, first, _ = (line.split("\t") for line in told.out.splitlines())
    assert dict(zip(headings, first, strict=True)) == {
        "steps": "4", "decode s": "0.50", "features s": "1.00", "sampler s": "2.00", "codec s": "0.75",
        "mux s": "0.25", "all s": "4.50", "real-time factor": "0.450", "peak MB": "800",
    }  # fmt: skip
    assert "per_step=0.05" in told.err and "clip.mp4, 10.0 s, bare on cpu" in told.err


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

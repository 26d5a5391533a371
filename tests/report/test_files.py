"""The JSON and the PNG beside a result, from real files."""

import json
import os
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from foleycli.media.ffmpeg import find_ffmpeg
from foleycli.media.probe import probe
from foleycli.records import Window
from foleycli.rendering.job import ExtendJob, RenderJob
from foleycli.rendering.result import RenderResult
from foleycli.report.files import facts, filmstrip, write_json, write_picture
from foleycli.settings.settings import Settings


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Two seconds: one red, one blue."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    sides = [("-f", "lavfi", "-i", f"color={name}:size=64x48:rate=25:duration=1") for name in ("red", "blue")]
    join = ("-filter_complex", "concat=n=2", "-pix_fmt", "yuv420p")
    subprocess.run([str(find_ffmpeg()), "-loglevel", "error", *sides[0], *sides[1], *join, str(path)], check=True)
    return path


@pytest.fixture
def made(tmp_path) -> RenderResult:
    out = tmp_path / "out.wav"
    soundfile.write(out, np.random.default_rng(0).uniform(-0.5, 0.5, 2 * 48000), 48000)
    return RenderResult(
        out=out,
        duration_s=2.0,
        start_s=0.0,
        settings=Settings(seed=7, prompt="rain"),
        model="bare",
        model_sha256="ab" * 32,
        device="cpu",
        windows=[Window(0, 0, 87, 0)],
        cuts_s=[1.0],
        labels=[("rain", 0.5)],
        events_s=[0.5, 1.5],
        stage_s={"sampler": 0.25},
        lufs=-23.456,
        peak_dbtp=None,
    )


def test_json_says_everything_about_how_it_was_made(made, clip, tmp_path):
    job = RenderJob(probe(clip), made.out, made.settings, start_s=0.5, reference=Path("take.wav"))
    write_json(tmp_path / "out.json", made, job)
    told = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert Settings(**told["settings"]) == made.settings
    assert [Window(**window) for window in told["windows"]] == made.windows
    assert (told["seed"], told["model"], told["model_sha256"], told["stage_s"]) == (
        7,
        "bare",
        "ab" * 32,
        {"sampler": 0.25},
    )
    assert told["input"]["video"] == str(clip)
    assert (told["input"]["reference"], told["input"]["start_s"]) == ("take.wav", 0.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "out.wav"]


def test_json_of_a_name_that_is_no_utf8(made, clip, tmp_path):
    odd = tmp_path / os.fsdecode(b"n\xff.mp4")
    shutil.copy(clip, odd)
    write_json(tmp_path / "out.json", made, RenderJob(probe(odd), made.out, made.settings))
    told = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert os.fsencode(told["input"]["video"]) == os.fsencode(odd)


def test_json_of_a_take_alone(made, tmp_path):
    write_json(tmp_path / "out.json", made, ExtendJob(Path("take.wav"), None, made.out, made.settings, loop=True))
    told = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["input"]
    assert (told["video"], told["take"], told["loop"]) == (None, "take.wav", True)


def test_facts_are_plain(made):
    told = facts(made)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert (told["lufs"], told["peak_dbtp"]) == (-23.46, None)
    assert told["settings"] == asdict(made.settings)


def test_film_shows_the_part_that_is_asked_for(clip):
    video = probe(clip)
    whole, blue = filmstrip(video, 0.0, 2.0), filmstrip(video, 1.0, 1.0)
    assert whole.shape == blue.shape and whole.dtype == np.uint8
    n = len(whole)
    red_then_blue = [int(picture[..., 2].mean() > picture[..., 0].mean()) for picture in whole]
    assert red_then_blue == sorted(red_then_blue) and sum(red_then_blue) in (n // 2, n - n // 2)
    assert all(picture[..., 2].mean() > picture[..., 0].mean() for picture in blue)


@pytest.mark.parametrize("with_video", [True, False])
def test_picture_is_written_whole(made, clip, tmp_path, with_video):
    write_picture(tmp_path / "out.png", made, probe(clip) if with_video else None)
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert image.width == 1600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.png", "out.wav"]

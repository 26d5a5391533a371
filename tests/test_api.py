"""`import foleycli`: what it costs, and what its functions give."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import soundfile

import foleycli
from foleycli.media.audio import read_audio
from foleycli.media.probe import probe


def test_importing_loads_no_heavy_package():
    heavy = ["torch", "numpy", "av", "soundfile", "typer", "rich", "yaml", "huggingface_hub", "transformers", "dac"]
    code = f"import sys, foleycli; dir(foleycli); print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_every_public_name_is_there_and_documented():
    for name in foleycli.__all__:
        assert getattr(foleycli, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        foleycli.nothing  # noqa: B018


def test_generate_gives_samples_without_a_file(kept_model, clips, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    analysis = foleycli.analyze(clips("plain.mp4"), kept_model)
    assert analysis.duration_s == probe(clips("plain.mp4")).duration_s
    one, same, other, louder = (
        foleycli.generate(kept_model, analysis, prompt=prompt, seed=seed, steps=1)
        for prompt, seed in (("metal hit", 3), ("metal hit", 3), ("metal hit", 4), ("rain", 3))
    )
    assert one.samples.dtype == np.float32 and one.rate_hz == 44100
    assert one.samples.shape == (1, round(analysis.duration_s * 44100))
    assert np.array_equal(one.samples, same.samples)
    assert not np.array_equal(one.samples, other.samples) and not np.array_equal(one.samples, louder.samples)
    assert list(tmp_path.iterdir()) == []


def test_generate_is_what_render_writes(kept_model, clips, tmp_path):
    clip = clips("plain.mp4")
    how = {"prompt": "metal hit", "steps": 2, "seed": 5}
    audio = foleycli.generate(kept_model, foleycli.analyze(clip, kept_model), **how)
    [result] = foleycli.render(clip, tmp_path / "out.wav", model=kept_model, rate_hz=44100, **how)
    written = read_audio(result.out).samples
    assert written.shape == audio.samples.shape
    # A file's true peak is held under -1 dBTP by one gain for all.
    gain = (written @ audio.samples.T) / (audio.samples @ audio.samples.T)
    assert np.abs(written - gain * audio.samples).max() < 1e-4


def test_a_reference_as_samples_is_the_same_as_its_file(kept_model, clips, write_noise, tmp_path):
    analysis = foleycli.analyze(clips("short.mp4"), kept_model)
    path = write_noise(tmp_path / "take.wav", 1.0)
    by_file = foleycli.generate(kept_model, analysis, reference=path, steps=1)
    by_samples = foleycli.generate(kept_model, analysis, reference=read_audio(path), steps=1)
    assert np.array_equal(by_file.samples, by_samples.samples)


def test_render_writes_every_take(kept_model, clips, tmp_path):
    results = foleycli.render(clips("short.mp4"), tmp_path / "out.wav", model=kept_model, steps=1, takes=2)
    assert [result.out.name for result in results] == ["out.take1.wav", "out.take2.wav"]
    assert [result.take for result in results] == [1, 2]


def test_extend_carries_on_a_take(kept_model, write_noise, tmp_path):
    take = write_noise(tmp_path / "take.wav", 1.0)
    result = foleycli.extend(take, tmp_path / "out.wav", model=kept_model, duration_s=2.0, steps=1)
    assert result.duration_s == pytest.approx(2.0)
    before, after = (soundfile.read(path, dtype="int32")[0] for path in (take, result.out))
    assert len(after) == 88200 and np.array_equal(after[: len(before)], before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"out": "x.wav", "start_s": 99.0}, "--start is 99"),
        ({"out": "x.txt"}, "no known output format"),
        ({"out": "x.wav", "steps": 0}, "--steps is 0"),
        ({"out": "x.wav", "stepz": 8}, "there is no setting 'stepz'"),
        ({"out": "x.wav", "reference": "missing.wav"}, "missing.wav"),
    ],
)
def test_bad_arguments_are_refused_before_a_model_is_loaded(clips, tmp_path, monkeypatch, arguments, message):
    monkeypatch.setattr("foleycli.models.model.load_model", lambda *_: pytest.fail("a model was loaded"))
    out = tmp_path / arguments.pop("out")
    with pytest.raises(foleycli.FoleyError, match=message):
        foleycli.render(clips("short.mp4"), out, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def write_noise():
    def write(path, duration_s: float):
        noise = np.random.default_rng(0).uniform(-0.2, 0.2, round(duration_s * 44100))
        soundfile.write(path, noise, 44100, subtype="PCM_24")
        return path

    return write

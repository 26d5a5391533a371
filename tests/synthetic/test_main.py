"""`python -m foleycli.synthetic`: one clip to look at, and what of a user's sounds it does not use."""

from __future__ import annotations

import av
import numpy as np
import pytest
import soundfile

from foleycli.synthetic.__main__ import main


@pytest.fixture
def sounds(tmp_path):
    """A folder with a sound that the worlds know and one that they do not."""
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 44100)
    for file in ("door/001.wav", "zzz/001.wav"):
        (tmp_path / "sounds" / file).parent.mkdir(parents=True)
        soundfile.write(tmp_path / "sounds" / file, samples, 44100)
    return tmp_path / "sounds"


def test_a_clip_is_written_and_unused_sounds_are_counted(sounds, tmp_path, capsys):
    out = tmp_path / "clip.mp4"
    assert main(["--out", str(out), "--size", "32", "--duration", "1", "--sounds", str(sounds)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{out}\n" and "1 sounds, such as zzz/001.wav" in captured.err
    with av.open(str(out)) as held:
        assert {stream.type for stream in held.streams} == {"audio", "video"}


def test_a_missing_folder_of_sounds_is_refused(tmp_path, capsys):
    assert main(["--out", str(tmp_path / "clip.mp4"), "--sounds", str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err

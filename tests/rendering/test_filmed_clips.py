"""Every filmed clip of a folder beside the repository renders; without the folder there is nothing to test."""

from __future__ import annotations

from pathlib import Path

import pytest

from foleycli.media.audio import read_audio
from foleycli.media.probe import probe

FOLDER = Path(__file__).parents[3] / "shared" / "clips"
CLIPS = sorted(path for path in FOLDER.glob("*") if path.suffix in (".mp4", ".webm")) if FOLDER.is_dir() else []


@pytest.mark.slow
@pytest.mark.parametrize("clip", CLIPS, ids=lambda path: path.stem)
def test_filmed_clip_renders(render, packets, tmp_path, clip):
    out = tmp_path / f"out{clip.suffix}"
    assert render(clip, "-o", out).code == 0
    assert packets(out) == packets(clip)
    video = probe(clip)
    assert read_audio(out).duration_s == pytest.approx(video.duration_s, abs=max(float(1 / video.fps), 0.021))

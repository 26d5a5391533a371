"""Writes frames, with or without sound, as an mp4 through the bundled ffmpeg."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from foleycli.errors import FoleyError
from foleycli.synthetic.config import RATE_HZ


def write_mp4(path: Path, frames: np.ndarray, fps: int, samples: np.ndarray | None = None, crf: int = 20) -> None:
    """H.264 from uint8 [T, H, W, 3] and AAC from float32 [N] at 44.1 kHz; the same input gives the same bytes."""
    import imageio_ffmpeg
    import soundfile

    height, width = frames.shape[1:3]
    with tempfile.TemporaryDirectory() as folder:
        sound: list[str] = ["-an"]
        source: list[str] = []
        if samples is not None:
            wav = Path(folder) / "sound.wav"
            soundfile.write(wav, samples, RATE_HZ, subtype="FLOAT")
            source, sound = ["-i", str(wav)], ["-c:a", "aac", "-b:a", "160k"]
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
        code = ["-c:v", "libx264", "-preset", "slow", "-crf", str(crf), "-pix_fmt", "yuv420p", "-threads", "1"]
        fixed = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1", "-movflags", "+faststart"]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *raw, *source, *code, *sound, *fixed]
        done = subprocess.run([*command, str(path)], input=frames.tobytes(), capture_output=True)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise FoleyError(f"{path} could not be written: {' '.join(reason)}", "Check the folder and the file name")

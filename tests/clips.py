"""Makes the awkward clips that the tests run on, with imageio-ffmpeg's ffmpeg: everywhere the same one.

In every clip with a flash the whole picture is white during exactly one frame, `FLASH_FRAME`; where it has
sound, a beep begins with that frame.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg

FLASH_FRAME = 12
WIDTH_PX, HEIGHT_PX = 160, 90
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
REORDERED = ("-c:v", "libx264", "-preset", "fast", "-bf", "3", "-g", "12", "-pix_fmt", "yuv420p")


def run_ffmpeg(*args: object, stdout: Path | None = None) -> None:
    """Run imageio-ffmpeg's ffmpeg; a failure shows what it said, and none runs without end.

    stdout   a file that takes what goes to pipe:1, which cannot be sought in
    """
    done = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
        + [str(arg) for arg in args],
        capture_output=True,
        timeout=300,
    )
    if stdout is not None:
        stdout.write_bytes(done.stdout)
    assert done.returncode == 0, done.stderr.decode()


def flash_clip(
    out: Path,
    rate: str = "25",
    duration_s: float = 1.6,
    size: str = f"{WIDTH_PX}x{HEIGHT_PX}",
    codec: tuple[str, ...] = X264,
    sound_s: float | None = None,
    filters: str = "",
) -> Path:
    """A moving test picture with the flash; with sound_s, a beep that begins with it in a track so long."""
    flash_s = float(FLASH_FRAME / Fraction(rate))
    white = f"drawbox=c=white:t=fill:enable='eq(n,{FLASH_FRAME})'"
    args: list[object] = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={duration_s}"]
    if sound_s is not None:
        beep = f"0.5*sin(2*PI*1000*t)*between(t,{flash_s},{flash_s}+0.05)"
        args += ["-f", "lavfi", "-i", f"aevalsrc='{beep}':s=48000:d={sound_s}", "-c:a", "aac"]
    run_ffmpeg(*args, "-vf", white + filters, *codec, out)
    return out


def _rotated(out: Path, degrees: int, **options: object) -> Path:
    upright = flash_clip(out.with_name(f"upright_{out.name}"), **options)  # type: ignore[arg-type]
    run_ffmpeg("-display_rotation", degrees, "-i", upright, "-c", "copy", out)
    return out


def _variable(out: Path) -> Path:
    """Pictures of 40 ms, but 200 ms each from the tenth to the twelfth."""
    gaps = "setpts='(N+4*max(0,min(N-10,3)))/25/TB'"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=1.2", "-vf", gaps, "-fps_mode", "vfr",
               *X264, "-video_track_timescale", "90000", out)  # fmt: skip
    return out


def _offset(out: Path) -> Path:
    """The sound starts at 0, the picture 0.4 s later."""
    source = flash_clip(out.with_name("plain_offset.mp4"), codec=REORDERED, sound_s=2.0)
    run_ffmpeg("-itsoffset", "0.4", "-i", source, "-i", source, "-map", "0:v", "-map", "1:a", "-c", "copy", out)
    return out


def _negative(out: Path) -> Path:
    """Cut by stream copy in the middle of a group: an edit list hides the pictures before."""
    source = flash_clip(out.with_name("plain_negative.mp4"), duration_s=2.0, codec=REORDERED, sound_s=2.0)
    run_ffmpeg("-ss", "0.2", "-i", source, "-c", "copy", out)
    return out


def _without_duration(out: Path) -> Path:
    """WebM as a browser records it: to a pipe, so that no length is written."""
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=1.2", "-f", "lavfi", "-i", "sine=d=1.2",
               "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus",
               "-f", "webm", "-live", "1", out)  # fmt: skip
    return out


def _with_subtitles(out: Path) -> Path:
    words = out.with_suffix(".srt")
    words.write_text("1\n00:00:00,200 --> 00:00:00,800\nA door.\n", encoding="utf-8")
    chapters = out.with_suffix(".txt")
    chapters.write_text(
        ";FFMETADATA1\ntitle=Door test\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=700\ntitle=One\n", encoding="utf-8"
    )
    source = flash_clip(out.with_name("plain_subtitles.mp4"), sound_s=1.6)
    run_ffmpeg("-i", source, "-i", words, "-i", chapters, "-map", "0", "-map", "1", "-map_metadata", "2",
               "-c", "copy", "-c:s", "srt", out)  # fmt: skip
    return out


def _cover_art(out: Path) -> Path:
    """Sound with a picture of its cover: no video."""
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-f", "lavfi", "-i", "color=red:s=64x64:d=1", "-map", "0", "-map", "1",
               "-frames:v", "1", "-c:v", "mjpeg", "-disposition:v:0", "attached_pic", "-c:a", "aac",
               "-shortest", out)  # fmt: skip
    return out


def _text(out: Path) -> Path:
    out.write_text("This is no film.\n" * 50, encoding="utf-8")
    return out


def _broken(out: Path) -> Path:
    """A film whose second half is missing."""
    whole = flash_clip(out.with_name("whole_broken.mkv"), duration_s=2.0, codec=(*X264, "-g", "10"))
    data = whole.read_bytes()
    out.write_bytes(data[: len(data) // 2])
    return out


HEVC_10 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=error")

MAKERS: dict[str, Callable[[Path], Path]] = {
    "plain.mp4": lambda out: flash_clip(out, sound_s=1.6),
    "reordered.mp4": lambda out: flash_clip(out, duration_s=2.4, codec=REORDERED, sound_s=2.4),
    "23976.mp4": lambda out: flash_clip(out, rate="24000/1001"),
    "2997.mp4": lambda out: flash_clip(out, rate="30000/1001"),
    "5994.mp4": lambda out: flash_clip(out, rate="60000/1001", duration_s=1.0),
    "variable.mp4": _variable,
    "portrait.mp4": lambda out: _rotated(out, 90, sound_s=1.6),
    "upside_down.mp4": lambda out: _rotated(out, 180),
    "odd_size.mkv": lambda out: flash_clip(out, filters=",scale=161:91", codec=("-c:v", "ffv1", "-pix_fmt", "yuv444p")),
    "hevc_10bit.mp4": lambda out: flash_clip(out, codec=HEVC_10),
    "silent.mp4": lambda out: flash_clip(out),
    "short.mp4": lambda out: flash_clip(out, duration_s=0.2),
    "offset.mp4": _offset,
    "negative.mp4": _negative,
    "no_duration.webm": _without_duration,
    "subtitles.mkv": _with_subtitles,
    "long_sound.mp4": lambda out: flash_clip(out, sound_s=3.0),
    "cover.m4a": _cover_art,
    "text.mp4": _text,
    "broken.mkv": _broken,
}


@dataclass(frozen=True)
class Clips:
    """Makes a clip by name when a test first asks for it, and keeps it for the session."""

    folder: Path

    def __call__(self, name: str) -> Path:
        out = self.folder / name
        return out if out.exists() else MAKERS[name](out)

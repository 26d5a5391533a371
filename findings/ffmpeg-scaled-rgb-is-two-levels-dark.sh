#!/usr/bin/env bash
# FFmpeg 9.0 (the binary in imageio-ffmpeg 0.8.1): video in 4:2:0 that is made smaller and turned into RGB in one step comes out
# one to two of 255 levels too dark, at every grey, with any of the usual algorithms, and with accurate_rnd too. Without a change of size,
# with format=yuv444p after the scaling, or with accurate_rnd and full_chroma_int, the greys are right to a level: so the same
# picture has other numbers at its own size than at half of it, which networks fed with small pictures see.
# Seen: luma 126 (128.1 in RGB) gives 126 when scaled, 128 when cropped, 128 by way of small 4:4:4.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet imageio-ffmpeg==0.8.1
cat >show.py <<'PY'
import subprocess

import imageio_ffmpeg

ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
print(subprocess.run([ffmpeg, "-version"], capture_output=True, text=True).stdout.splitlines()[0])
WAYS = {
    "scaled by area": "scale=112:112:flags=area",
    "scaled as usual": "scale=112:112",
    "scaled with accurate_rnd": "scale=112:112:flags=bicubic+accurate_rnd",
    "with full_chroma_int too": "scale=112:112:flags=bicubic+accurate_rnd+full_chroma_int",
    "cropped": "crop=112:112",
    "scaled, then RGB": "scale=112:112:flags=area,format=yuv444p",
}
for luma in (40, 80, 126, 180, 220):
    grey = f"color=s=640x360:r=25:d=0.04,format=yuv420p,geq=lum={luma}:cb=128:cr=128"
    subprocess.run(
        [ffmpeg, "-loglevel", "error", "-y", "-f", "lavfi", "-i", grey, "-c:v", "ffv1", "grey.mkv"], check=True
    )
    true, seen = (luma - 16) * 255 / 219, {}
    for way, filters in WAYS.items():
        call = [ffmpeg, "-loglevel", "error", "-i", "grey.mkv", "-vf", filters, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
        pixels = subprocess.run(call, check=True, capture_output=True).stdout
        seen[way] = sum(pixels) / len(pixels)
    print(f"luma {luma}: {true:.1f} in RGB; {seen}")
    scaled = [value for way, value in seen.items() if way.startswith("scaled ")]
    right = [seen["cropped"], seen["scaled, then RGB"], seen["with full_chroma_int too"]]
    assert max(scaled) == min(scaled) and -3 < scaled[0] - true < -1.2, "scaled greys are right now"
    assert all(abs(value - true) <= 1.1 for value in right), "the other ways are not right any more"
print("as described")
PY
venv/bin/python show.py

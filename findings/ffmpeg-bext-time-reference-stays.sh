#!/usr/bin/env bash
# FFmpeg 9.0 (the binary in imageio-ffmpeg 0.8.1): the TimeReference in a broadcast WAV's bext chunk counts samples since
# midnight (EBU Tech 3285), but is copied as metadata: cutting with -ss and resampling with -ar leave the number as it was.
# Seen: 172,800,000 (one hour at 48 kHz) stays after -ss 2 (the part belongs 2 s later) and after -ar 96000 (now half past
# midnight). Without -write_bext 1 the chunk is dropped, also with -c copy.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet imageio-ffmpeg==0.8.1
cat >show.py <<'PY'
import struct, subprocess
import imageio_ffmpeg

ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
print(subprocess.run([ffmpeg, "-version"], capture_output=True, text=True).stdout.splitlines()[0])
HOUR = 3600 * 48000


def run(*args):
    subprocess.run([ffmpeg, "-loglevel", "error", "-y", *args], check=True)


def time_reference(name):
    data = open(name, "rb").read()
    place = data.find(b"bext")
    return None if place < 0 else struct.unpack_from("<Q", data, place + 8 + 338)[0]


run("-f", "lavfi", "-i", "sine=r=48000:d=10", "-metadata", f"time_reference={HOUR}", "-write_bext", "1", "whole.wav")
run("-ss", "2", "-i", "whole.wav", "-c", "copy", "-write_bext", "1", "part.wav")
run("-i", "whole.wav", "-ar", "96000", "-write_bext", "1", "double.wav")
run("-i", "whole.wav", "-c", "copy", "plain.wav")
seen = {name: time_reference(f"{name}.wav") for name in ("whole", "part", "double", "plain")}
print(seen, "expected for part:", HOUR + 2 * 48000, "for double:", 2 * HOUR)
assert seen == {"whole": HOUR, "part": HOUR, "double": HOUR, "plain": None}, "the time reference follows now"
print("as described")
PY
venv/bin/python show.py

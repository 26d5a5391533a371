#!/usr/bin/env bash
# FFmpeg 9.0 (the binary in imageio-ffmpeg 0.8.1): a valid 16-bit .wav with a square wave of amplitude 327 (-40 dBFS) is taken
# for MPEG-TS and refused. 327 is 0x0147, so that every other byte of half the file is 0x47, the sync byte of a TS packet,
# and the file's beginning, RIFF and WAVE, does not outweigh it. FFmpeg 5.1 and the libav 8.1 in PyAV 18.1.0 read it as WAV.
# Seen: 1 kHz at 327: "[in#0/mpegts] could not find codec parameters"; the same at 326, or with -f wav before -i, is read.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet imageio-ffmpeg==0.8.1 av==18.1.0
cat >show.py <<'PY'
import struct, subprocess, wave
import av, imageio_ffmpeg

ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
print(subprocess.run([ffmpeg, "-version"], capture_output=True, text=True).stdout.splitlines()[0])


def opened(amplitude, *options):
    """Whether ffmpeg reads a second of a 1 kHz square wave."""
    with wave.open("square.wav", "wb") as file:
        file.setparams((1, 2, 48000, 0, "NONE", ""))
        file.writeframes(struct.pack("<48000h", *(amplitude * (-1) ** (n // 24) for n in range(48000))))
    args = [ffmpeg, "-hide_banner", *options, "-i", "square.wav", "-f", "null", "-"]
    done = subprocess.run(args, capture_output=True, text=True)
    print(amplitude, options, "read" if done.returncode == 0 else done.stderr.splitlines()[0])
    return done.returncode == 0


assert opened(326) and opened(327, "-f", "wav")
assert not opened(327), "a square wave is a WAV file now"
with av.open("square.wav") as container:
    print("PyAV", av.__version__, "says", container.format.name)
print("as described")
PY
venv/bin/python show.py

#!/usr/bin/env bash
# FFmpeg 9.0 (the binary in imageio-ffmpeg 0.8.1; Debian 12's 5.1 does the same): the true peak that the filter ebur128
# reports does not see the last 16 samples of a 48 kHz sound. Its oversampling filter is not flushed at the end.
# Seen: a full-scale sample 1 from the end: true peak -37.9 dBFS, sample peak 0.0; 16 from the end -0.9; 17 from the end 0.0.
# With 64 samples of silence behind the sound (apad=pad_len=64) all are 0.0.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet imageio-ffmpeg==0.8.1
cat >show.py <<'PY'
import re, struct, subprocess, wave
import imageio_ffmpeg

ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
print(subprocess.run([ffmpeg, "-version"], capture_output=True, text=True).stdout.splitlines()[0])


def peaks(from_end, before=""):
    """(sample peak, true peak) in dBFS of a second at -40 dBFS with one full-scale sample near its end."""
    samples = [328 * (-1) ** (n // 24) for n in range(48000)]
    samples[-from_end] = 32767
    with wave.open("sound.wav", "wb") as file:
        file.setparams((1, 2, 48000, 0, "NONE", ""))
        file.writeframes(struct.pack("<48000h", *samples))
    args = [ffmpeg, "-nostats", "-i", "sound.wav", "-af", before + "ebur128=peak=sample+true", "-f", "null", "-"]
    log = subprocess.run(args, capture_output=True, text=True).stderr
    found = re.findall(r"(Sample|True) peak:\s+Peak:\s+(\S+) dBFS", log)
    return tuple(float(dict(found)[kind]) for kind in ("Sample", "True"))


for from_end in (1, 8, 16, 17):
    print(f"full-scale sample {from_end} from the end: sample and true peak {peaks(from_end)},",
          f"padded {peaks(from_end, 'apad=pad_len=64,')}")
sample, true = peaks(1)
assert sample == 0.0 and true < -30, "the true peak now sees the end"
assert peaks(17)[1] >= 0.0 and peaks(1, "apad=pad_len=64,")[1] >= 0.0
print("as described")
PY
venv/bin/python show.py

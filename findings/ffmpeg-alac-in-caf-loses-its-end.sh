#!/usr/bin/env bash
# FFmpeg 9.0 (the binary in imageio-ffmpeg 0.8.1) and the libav 8.1 in PyAV 18.1.0: ALAC in a .caf file comes back shorter
# than it was written, although the codec is lossless and the file says how long it is. Debian 12's FFmpeg 5.1 reads all.
# Seen: 48,000 samples come back as 46,848, 8,191 as 8,190; 46,848 and 100,000 come back whole. In .m4a nothing is lost.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet imageio-ffmpeg==0.8.1 av==18.1.0
cat >show.py <<'PY'
import subprocess
import av, imageio_ffmpeg

ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
print(subprocess.run([ffmpeg, "-version"], capture_output=True, text=True).stdout.splitlines()[0])
print("PyAV", av.__version__, "libavformat", av.library_versions["libavformat"])


def run(*args):
    return subprocess.run([ffmpeg, "-loglevel", "error", "-y", *args], check=True, capture_output=True).stdout


def back(n, name):
    """How many of n samples the ffmpeg that wrote them, and PyAV, read again."""
    run("-f", "lavfi", "-i", "sine=r=48000:d=10", "-af", f"atrim=end_sample={n}", "-c:a", "alac", name)
    by_ffmpeg = len(run("-i", name, "-f", "s16le", "-c:a", "pcm_s16le", "-")) // 2
    with av.open(name) as container:
        return by_ffmpeg, sum(frame.samples for frame in container.decode(audio=0))


seen = {(n, name): back(n, name) for n in (8191, 46848, 48000, 100000) for name in ("a.caf", "a.m4a")}
for (n, name), counts in seen.items():
    print(f"{n} samples written to {name}: ffmpeg reads {counts[0]}, PyAV {counts[1]}")
assert seen[48000, "a.caf"] == (46848, 46848) and seen[8191, "a.caf"] == (8190, 8190), "the end is no longer lost"
assert all(counts == (n, n) for (n, name), counts in seen.items() if name == "a.m4a")
print("as described")
PY
venv/bin/python show.py

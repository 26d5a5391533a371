#!/usr/bin/env bash
# libsndfile 1.2.2 (in soundfile 0.14.0): SFC_SET_CLIPPING does more than clip. With it (soundfile always sets it) floats are
# written to PCM_24 with a scale of 2^23; without it, the default of the C library, with 2^23-1. So two programs that use the
# same library write different samples from the same floats, and only one of them gets its own integers back.
# Seen: 0.75 is written as 6,291,456 with clipping and 6,291,455 without, -1.0 as -8,388,608 and -8,388,607.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet soundfile==0.14.0
cat >show.py <<'PY'
import numpy
import soundfile

SFC_SET_CLIPPING = 0x10C0
print("libsndfile", soundfile.__libsndfile_version__)


def written(clipping):
    with soundfile.SoundFile("sound.wav", "w", 48000, 1, subtype="PCM_24") as file:
        soundfile._snd.sf_command(file._file, SFC_SET_CLIPPING, soundfile._ffi.NULL, int(clipping))
        file.write(numpy.array([-1.0, -0.75, 0.75, (2**23 - 1) / 2**23]))
    return (soundfile.read("sound.wav", dtype="int32")[0] >> 8).tolist()


seen = written(True), written(False)
print("with clipping:   ", seen[0])
print("without clipping:", seen[1])
assert seen[0] == [-8388608, -6291456, 6291456, 8388607]
assert seen[1] == [-8388607, -6291455, 6291455, 8388606], "the scale is the same now"
print("as described")
PY
venv/bin/python show.py

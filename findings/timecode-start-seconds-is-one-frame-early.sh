#!/usr/bin/env bash
# timecode 1.5.1: Timecode(rate, start_seconds=s) is one frame early when printed. It takes s * rate for its count of frames,
# which begins at 1 for 00:00:00:00.
# Seen: Timecode("25", start_seconds=1) prints 00:00:00:24, 3600 s are 00:59:59:24; Timecode("25", "00:00:01:00") has 26 frames.
# (start_seconds=0 is refused, so the difference does not show there.)
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet timecode==1.5.1
cat >show.py <<'PY'
from timecode import Timecode

for rate in ("24", "25", "30", "50"):
    print(rate, "fps, 1 s and 3600 s:", Timecode(rate, start_seconds=1), Timecode(rate, start_seconds=3600))
assert str(Timecode("25", start_seconds=1)) == "00:00:00:24", "a second is a second now"
assert str(Timecode("25", start_seconds=3600)) == "00:59:59:24"
assert Timecode("25", "00:00:01:00").frames == 26
try:
    print(Timecode("25", start_seconds=0))
except ValueError as error:
    print("0 s:", error)
print("as described")
PY
venv/bin/python show.py

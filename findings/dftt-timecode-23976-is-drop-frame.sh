#!/usr/bin/env bash
# dftt-timecode 1.0.0: at 23.976 fps (24000/1001) every time code is taken for drop-frame, also with drop_frame=False. SMPTE
# ST 12-1 has drop-frame for 30000/1001 and 60000/1001 alone; film rates count every number.
# Seen: DfttTimecode("01:00:00:00", fps=23.976, drop_frame=False) is refused ("DONOT match drop_frame status [True]"); the
# same at 29.97 is taken as asked.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet dftt-timecode==1.0.0
cat >show.py <<'PY'
from dftt_timecode import DfttTimecode


def outcome(fps):
    try:
        return f"taken, drop-frame {DfttTimecode('01:00:00:00', fps=fps, drop_frame=False).is_drop_frame}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


seen = {fps: outcome(fps) for fps in (23.976, 24000 / 1001, 24, 29.97)}
for fps, text in seen.items():
    print(fps, text)
assert "drop_frame status [True]" in seen[23.976] and "drop_frame status [True]" in seen[24000 / 1001], "23.976 is taken now"
assert seen[29.97] == seen[24] == "taken, drop-frame False"
print("as described")
PY
venv/bin/python show.py

#!/usr/bin/env bash
# OpenTimelineIO 0.18.1 with otio-cmx3600-adapter 1.0.0: the record times of an EDL begin at 00:00:00:00 whatever the
# timeline's global_start_time is. Nothing is said about it.
# Seen: a timeline that begins at 01:00:00:00 at 25 fps is written with the record time 00:00:00:00.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet OpenTimelineIO==0.18.1 otio-cmx3600-adapter==1.0.0
cat >show.py <<'PY'
import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange

timeline = otio.schema.Timeline("reel", global_start_time=RationalTime(3600 * 25, 25))
track = otio.schema.Track("V", kind=otio.schema.TrackKind.Video)
timeline.tracks.append(track)
track.append(otio.schema.Clip("shot", source_range=TimeRange(RationalTime(0, 25), RationalTime(100, 25))))
edl = otio.adapters.write_to_string(timeline, "cmx_3600", rate=25)
print(edl)
(event,) = [line.split() for line in edl.splitlines() if line.startswith("001")]
print("record in:", event[-2], "expected 01:00:00:00")
assert event[-2] == "00:00:00:00", "the global start is written now"
print("as described")
PY
venv/bin/python show.py

#!/usr/bin/env bash
# OpenTimelineIO 0.18.1 with otio-cmx3600-adapter 1.0.0: an EDL can be written at rate 29.97 (23.976, 59.94), as people write
# it, but reading the same text at the same rate fails. The exact rate, 30000/1001, works both ways.
# Seen: write_to_string(..., rate=29.97) gives drop-frame time codes; read_from_string(..., rate=29.97) raises "SMPTE timecode
# does not support this rate".
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet OpenTimelineIO==0.18.1 otio-cmx3600-adapter==1.0.0
cat >show.py <<'PY'
import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange


def there_and_back(rate):
    timeline = otio.schema.Timeline("reel")
    track = otio.schema.Track("V", kind=otio.schema.TrackKind.Video)
    timeline.tracks.append(track)
    track.append(otio.schema.Clip("shot", source_range=TimeRange(RationalTime(7, rate), RationalTime(100, rate))))
    edl = otio.adapters.write_to_string(timeline, "cmx_3600", rate=rate)
    try:
        clip = otio.adapters.read_from_string(edl, "cmx_3600", rate=rate).tracks[0][0]
        return f"{clip.source_range.duration.value:g} frames come back"
    except ValueError as error:
        return f"{type(error).__name__}: {error}"


seen = {rate: there_and_back(rate) for rate in (23.976, 29.97, 59.94, 24000 / 1001, 30000 / 1001, 60000 / 1001)}
for rate, text in seen.items():
    print(f"{rate:.6f}: written; {text}")
assert all("does not support this rate" in seen[rate] for rate in (23.976, 29.97, 59.94)), "29.97 can be read now"
assert all(text == "100 frames come back" for rate, text in seen.items() if rate not in (23.976, 29.97, 59.94))
print("as described")
PY
venv/bin/python show.py

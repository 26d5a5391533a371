#!/usr/bin/env bash
# OpenTimelineIO 0.18.1 with otio-fcpx-xml-adapter 1.0.0: an FCPXML at 23.976 (frameDuration 1001/24000s) is read at
# 23 frames a second, the rate without its fraction, and every length is cut down to whole frames of that.
# Seen: clips of 1, 2, 3 frames have 0, 1, 2; one of 200 frames has 191 (8.30 s, not 8.34).
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet OpenTimelineIO==0.18.1 otio-fcpx-xml-adapter==1.0.0
cat >show.py <<'PY'
import opentimelineio as otio

LENGTHS = range(1, 201)  # frames


def seconds(n_frames: int) -> str:
    return f"{n_frames * 1001}/24000s"


clips, offset = [], 0
for length in LENGTHS:
    clips.append(
        f'<asset-clip name="{length}" ref="r2" offset="{seconds(offset)}" start="0s" duration="{seconds(length)}" format="r1"/>'
    )
    offset += length
text = f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE fcpxml>
<fcpxml version="1.8">
  <resources>
    <format id="r1" frameDuration="1001/24000s" width="1280" height="720"/>
    <asset id="r2" name="shot" src="file:///shot.mov" start="0s" duration="{seconds(offset)}" format="r1" hasVideo="1"/>
  </resources>
  <library><event name="event"><project name="reel">
    <sequence format="r1" duration="{seconds(offset)}" tcStart="0s"><spine>{"".join(clips)}</spine></sequence>
  </project></event></library>
</fcpxml>"""
read = otio.adapters.read_from_string(text, "fcpx_xml")
found = list(read.find_clips()) if hasattr(read, "find_clips") else list(otio.schema.SerializableCollection("", [read]).find_clips())
wrong = []
for clip in found:
    length, duration = int(clip.name), clip.source_range.duration
    if duration.rate != 24000 / 1001 or duration.value != length:
        wrong.append((length, duration.value, duration.rate))
print(f"{len(found)} clips read, {len(wrong)} not as written, (frames, read, at a rate of) {wrong[:3]} ... {wrong[-1:]}")
assert len(found) == len(LENGTHS), "not every clip was found"
assert len(wrong) == len(LENGTHS), "some are read as written now"
assert all(rate == 23 and value == length * 1001 * 23 // 24000 for length, value, rate in wrong), "wrong in another way now"
print("as described")
PY
venv/bin/python show.py

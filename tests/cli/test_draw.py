"""`foley draw`: sheets and reports as pictures, and what stands in the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foleycli.report.picture import EVENT, HEADER, LEFT, PANEL, STRIP
from foleycli.report.session_picture import BETWEEN, LANE, TOP, DrawnCue, lanes_of

DEMO = Path(__file__).parents[2] / "foleycli" / "shipped" / "demo.mp4"  # 7 s


@pytest.fixture
def sheet(tmp_path) -> Path:
    path = tmp_path / "cues.csv"
    path.write_text(
        "number,in,out,prompt,hits,silent\n1,0.7,3.5,knocks,1.4 2.1,\n2,2,5,rain,,\n3,3.5,4.2,,,yes\n", encoding="utf-8"
    )
    return path


def is_event(picture: np.ndarray) -> np.ndarray:
    """Which pixels [H, W] have the colour of cues' beginnings and hits, as far as few colours tell."""
    return (np.abs(picture.astype(int) - np.array(EVENT)) < 12).all(axis=-1)


def test_a_sheet_is_drawn_in_lanes_with_its_hits(foley, sheet):
    told = foley("draw", sheet, "--reel", DEMO)
    assert told.code == 0, told.err
    out = sheet.with_name("cues.session.png")
    assert told.out == f"{out}\n" and out.stat().st_size < 60_000
    marked = is_event(np.asarray(Image.open(out).convert("RGB")))
    lanes = [HEADER + STRIP + TOP + k * (LANE + BETWEEN) for k in range(2)]
    begins = [
        [round((x - LEFT) / PANEL * 7, 1) for x in np.flatnonzero(marked[y + 4 : y + LANE - 4].all(axis=0))]
        for y in lanes
    ]
    assert [sorted(set(each)) for each in begins] == [[0.7, 3.5], [2.0]]
    row = marked[lanes[0] + 31]  # the upper edges of triangles, and the cues' beginnings
    places_s = (np.flatnonzero(row) - LEFT) / PANEL * 7
    assert all(np.abs(places_s - time_s).min() < 0.02 for time_s in (1.4, 2.1))
    assert foley("draw", sheet, "--reel", DEMO).code == 1, "nothing is written over without --force"


def test_cues_that_meet_share_a_lane_and_handles_count():
    def cue(start_s: float, end_s: float, **more: object) -> DrawnCue:
        return DrawnCue("1", "", start_s, end_s, **more)

    assert lanes_of([cue(0, 2), cue(1, 3), cue(2, 4), cue(3, 5)]) == [0, 1, 0, 1]
    handles = {"stem": np.zeros(4, np.float32), "stem_s": (0.9, 2.1)}
    assert lanes_of([cue(0, 1), cue(1, 2, **handles)]) == [0, 1]


@pytest.mark.parametrize(
    ("options", "words"),
    [((), "does not say which video it is of"), (("--reel", DEMO, "-o", "a.svg"), "a.svg is no .png")],
)
def test_what_cannot_be_drawn_is_refused(foley, sheet, options, words):
    told = foley("draw", sheet, *options)
    assert told.code == 2 and words in told.error


def test_a_json_is_a_sheet_or_a_report(foley, tmp_path):
    (tmp_path / "cues.json").write_text(json.dumps([{"in": "1", "out": "2", "prompt": "rain"}]), encoding="utf-8")
    assert foley("draw", tmp_path / "cues.json", "--reel", DEMO, "-o", tmp_path / "a.png").code == 0
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    told = foley("draw", tmp_path / "bad.json", "--reel", DEMO)
    assert told.code == 1 and "it is not JSON" in told.error

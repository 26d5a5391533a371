"""Files of two folders that belong together."""

from __future__ import annotations

import pytest

from foleycli.errors import FoleyError
from foleycli.evaluation.pairs import Pair, pair_up


@pytest.fixture
def folders(tmp_path):
    def make(real: str, generated: str):
        for side, names in (("real", real), ("generated", generated)):
            for name in names.split():
                path = tmp_path / side / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        return tmp_path / "real", tmp_path / "generated"

    return make


def test_names_without_endings_pair(folders):
    real, generated = folders(
        "a.mp4 b.WAV dogs/c.mov only.mp4 notes.txt", "a.foley.mp4 b.flac dogs/c.wav other.wav a.json"
    )
    found = pair_up(real, generated)
    assert found.pairs == [
        Pair("a", real / "a.mp4", generated / "a.foley.mp4"),
        Pair("b", real / "b.WAV", generated / "b.flac"),
        Pair("dogs/c", real / "dogs" / "c.mov", generated / "dogs" / "c.wav"),
    ]
    assert [pair.folder for pair in found.pairs] == ["", "", "dogs"]
    assert (found.only_real, found.only_generated) == ([real / "only.mp4"], [generated / "other.wav"])


def test_one_name_twice_is_refused(folders):
    with pytest.raises(FoleyError, match=r"a\.foley\.wav.*same name|same name.*a\.foley\.wav"):
        pair_up(*folders("a.mp4", "a.foley.wav a.wav"))


@pytest.mark.parametrize(
    ("real", "generated", "told"),
    [
        ("a.mp4", "b.mp4", "no file in"),
        ("a.mp4", "a.txt", "holds no video and no sound"),
        ("a.mp4", "", "does not exist"),
    ],
)
def test_nothing_to_pair_is_refused(folders, real, generated, told):
    with pytest.raises(FoleyError, match=told):
        pair_up(*folders(real, generated))

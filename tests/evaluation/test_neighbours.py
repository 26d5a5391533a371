"""Labels by the nearest sounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from foleycli.errors import FoleyError
from foleycli.evaluation.embedders.base import Embedding
from foleycli.evaluation.neighbours import (
    MAX_PER_LABEL,
    NearestNeighbours,
    choose_sounds,
    embed_labelled_sounds,
    label_in_text,
    pooled,
)
from foleycli.soundset.held_out import held_out_of
from foleycli.soundset.sounds import ListedSound, list_sounds, read_sounds


def unit(*angles_deg: float) -> np.ndarray:
    """Vectors [n, 2] of these directions."""
    angles = np.radians(angles_deg)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_nearest_is_by_the_mean_of_three():
    """One sound of "a" is nearest of all, but its three are farther off than those of "b"."""
    neighbours = NearestNeighbours(["a", "a", "a", "b", "b", "b", "b"], unit(1, 80, 90, 20, 25, 30, 170))
    [vector] = unit(0)
    assert neighbours.classify(vector) == "b"
    assert neighbours.classify(vector, exclude=[3, 4, 5]) == "a"
    assert neighbours.labels == ["a", "b"]


def test_a_label_without_sounds_left_is_never_nearest():
    neighbours = NearestNeighbours(["a", "b"], unit(0, 180))
    assert neighbours.classify(unit(0)[0], exclude=[0]) == "b"


def test_pooled_is_the_direction_of_the_mean():
    np.testing.assert_allclose(pooled(Embedding(np.array([[2.0, 0.0], [0.0, 2.0]]))), unit(45)[0])
    assert np.isfinite(pooled(Embedding(np.zeros((2, 3))))).all()


@pytest.mark.parametrize(
    ("words", "label"),
    [
        ("Drum hit", "drum"),
        ("a car-door slams", "car door"),
        ("car_door", "car door"),
        ("drumkit", None),
        ("a drum on a car door", None),
        ("", None),
    ],
)
def test_label_in_words(words, label):
    assert label_in_text(words, ["drum", "car door", "rain"]) == label


def test_held_out_sounds_are_chosen_first_and_not_too_many():
    listed = [ListedSound(Path(), f"hit/{k}.wav", "hit") for k in range(5 * MAX_PER_LABEL)]
    listed.append(ListedSound(Path(), "rain/1.wav", "rain"))
    chosen = list(choose_sounds(listed))
    kept_back = {file for file in held_out_of(one.file for one in listed) if file.startswith("hit/")}
    assert [one.category for one in chosen] == ["hit"] * MAX_PER_LABEL + ["rain"]
    assert {one.file for one in chosen[: len(kept_back)]} == kept_back


class Loudness:
    """Hears how loud and how bright a sound is."""

    rate_hz = 44100

    def embed(self, samples: np.ndarray) -> Embedding:
        return Embedding(np.array([[np.abs(samples).mean(), np.abs(np.diff(samples)).mean()]], np.float32))


@pytest.fixture
def labelled(tmp_path):
    """Two sub-folders of three sounds each, and one that is listed but cannot be read."""
    for label, step in {"high": 2.0, "low": 0.02}.items():
        (tmp_path / label).mkdir()
        for k in range(3):
            soundfile.write(tmp_path / label / f"{k}.wav", 0.5 * np.sin(step * np.arange(9000 + k)), 44100)
    return tmp_path


def test_a_labelled_folder_is_heard(labelled):
    neighbours = embed_labelled_sounds(Loudness(), labelled)
    assert sorted(neighbours.labels) == ["high", "low"] and len(neighbours.vectors) == 6
    assert neighbours.classify(pooled(Loudness().embed(0.1 * np.sin(1.9 * np.arange(5000))))) == "high"


def test_listing_reads_no_sound(labelled):
    (labelled / "low" / "broken.wav").write_bytes(b"nothing")
    assert len(list_sounds(labelled)) == 7
    with pytest.raises(FoleyError, match=r"broken\.wav cannot be read"):
        read_sounds(labelled)


def test_one_label_says_nothing(labelled):
    for path in (labelled / "low").iterdir():
        path.unlink()
    with pytest.raises(FoleyError, match="one label only"):
        embed_labelled_sounds(Loudness(), labelled)

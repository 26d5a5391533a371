"""The figures of a tagger on arrays, against what they are on paper."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.evaluation.metrics.tags import FLOOR, Tags, class_distribution, compare_tags

CLASSES = ["Speech", "Music", "Silence", "Dog", "Bell", "Rain", "Drum", "Engine"]


def tags(vector: tuple[float, float], **probabilities: float) -> Tags:
    """Two pieces with these class probabilities (0.01 for the others) and an embedding in the direction of `vector`."""
    row = np.full(len(CLASSES), 0.01)
    for name, value in probabilities.items():
        row[CLASSES.index(name)] = value
    return Tags(np.stack([row, row]), np.array([vector, vector], float) * [[1.0], [3.0]])


def test_a_distribution_is_the_mean_without_the_ignored_class():
    pieces = np.array([[0.8, 0.5, 0.0], [0.4, 0.9, 0.0]])
    p = class_distribution(pieces, ignored=1)
    assert p.sum() == pytest.approx(1)
    assert p[0] / p[2] == pytest.approx((0.6 + FLOOR) / FLOOR)
    assert pieces[0, 1] == 0.5  # what is given stays


def test_a_sound_against_itself_is_perfect():
    sounds = [tags((1, 0), Dog=0.9, Speech=0.8), tags((0, 1), Bell=0.9)]
    found = compare_tags(sounds, sounds, classes=CLASSES)
    assert (found.kl, found.overlap_of_5, found.top1_in_5, found.recall_at_1) == (0, 5, 1, 1)
    assert found.cos == pytest.approx(1) and (found.extra_speech, found.extra_music) == (0, 0)


def test_divergence_is_of_the_real_distribution_from_the_made_one():
    real, generated = tags((1, 0), Dog=0.9), tags((1, 0), Dog=0.3, Silence=0.9)
    p, q = (class_distribution(one.probabilities, CLASSES.index("Silence")) for one in (real, generated))
    assert compare_tags([real], [generated], classes=CLASSES).kl == pytest.approx((p * np.log(p / q)).sum())
    assert compare_tags([real], [generated], classes=CLASSES).kl != pytest.approx((q * np.log(q / p)).sum())


def test_nearest_is_sought_among_all_real_sounds():
    real, generated = [tags((1, 0)), tags((0, 1))], [tags((1, 0.1)), tags((1, 0.9))]
    assert compare_tags(real, generated, classes=CLASSES).recall_at_1 == 0.5
    assert compare_tags(real, generated, others=[tags((1, 0.1))], classes=CLASSES).recall_at_1 == 0
    assert compare_tags(real, generated, classes=CLASSES).cos == pytest.approx(
        np.mean([1 / 1.01**0.5, 0.9 / 1.81**0.5])
    )


def test_speech_and_music_count_where_the_real_sound_has_none():
    real = [tags((1, 0), Speech=0.9), tags((0, 1), Speech=0.4), tags((1, 1))]
    generated = [tags((1, 0), Speech=0.9), tags((0, 1), Speech=0.6), tags((1, 1), Music=0.51, Speech=0.5)]
    found = compare_tags(real, generated, classes=CLASSES)
    assert (found.extra_speech, found.extra_music) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_the_top_class_is_looked_for_among_five():
    six = {"Dog": 0.9, "Bell": 0.8, "Rain": 0.7, "Drum": 0.6, "Engine": 0.5}
    real, without = tags((1, 0), Speech=0.95, **six), tags((1, 0), **six)
    found = compare_tags([real, without], [without, real], classes=CLASSES)
    assert found.top1_in_5 == 0.5 and found.overlap_of_5 == 4


def test_no_pairs_are_an_error():
    with pytest.raises(ValueError, match="as many"):
        compare_tags([], [], classes=CLASSES)

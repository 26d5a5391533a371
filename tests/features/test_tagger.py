"""ImageTagger: the table covers every class, the real classifier names real things, simulation agrees."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from foleycli.features.base import Extractor
from foleycli.features.extract import extract_features
from foleycli.features.tagger import (
    MIN_PROBABILITY,
    WEIGHTS,
    WEIGHTS_PACKAGE,
    ImageTagger,
    is_outdoors,
    label_embedding,
    labels_of,
    load_classifier,
    members_of,
    middle_square,
    read_table,
    simulate_tagger,
    smooth,
    top_labels,
)
from foleycli.features.text import WordLlamaText, package_file
from foleycli.nn.efficientnet_lite import from_checkpoint
from foleycli.records import Stream
from foleycli.weights.checkpoint import read


@pytest.fixture(scope="module")
def extractor() -> ImageTagger:
    return ImageTagger(WordLlamaText())


def test_every_class_has_its_word() -> None:
    words, word_of = read_table()
    assert word_of.shape == (1000,) and word_of.min() >= 0 and word_of.max() == len(words)
    assert len(set(words)) == len(words)
    by_class = {index: words[word_of[index]] for index in (162, 413, 541, 587, 491, 817, 466, 340)}
    assert by_class == {
        162: "dog bark",  # beagle
        413: "rifle gun shot",  # assault rifle
        541: "drum hit",
        587: "hammer hit",
        491: "chainsaw",
        817: "racing car engine",  # sports car
        466: "train on rails",  # bullet train
        340: "horse neigh",  # zebra
    }
    assert word_of[916] == len(words)  # web site: silent


@pytest.mark.parametrize(("text", "problem"), [("0-999, 5", "twice"), ("0-998", "missing")])
def test_a_faulty_table_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(f'- {{words: "", classes: "{text.replace(",", "")}"}}\n')
    with pytest.raises(ValueError, match=problem):
        read_table(path)


def test_classifier_knows_a_crossword() -> None:
    """Weights, folding, padding and scaling together: wrong in any, and it is not this sure."""
    rng, page = np.random.default_rng(0), np.full((224, 224, 3), 255, np.uint8)
    for row in range(15):
        for column in range(15):
            if rng.random() < 0.2:
                page[7 + row * 14 : 21 + row * 14, 7 + column * 14 : 21 + column * 14] = 0
    page[7::14] = 0
    page[:, 7::14] = 0
    pixels = (torch.from_numpy(page).permute(2, 0, 1)[None].float() - 127) / 128
    with torch.inference_mode():
        chances = load_classifier()(pixels).softmax(-1)[0]
    assert chances[918] > 0.8


def test_stream_is_two_per_second_and_as_wide_as_the_words(extractor: ImageTagger) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (60, 224, 224, 3), dtype=np.uint8)
    stream = extract_features([frames[:37], frames[37:]], [extractor])["semantic"]
    assert stream.rate_hz == Fraction(2) and stream.values.shape == (5, 256)
    assert stream.values.norm(dim=-1).max() <= 1.0 + 1e-5


def test_chunks_do_not_matter(extractor: ImageTagger) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (6, 224, 224, 3), dtype=np.uint8)
    one, other = extractor.start(), extractor.start()
    one.push(frames)
    for k in range(6):
        other.push(frames[k : k + 1])
    assert torch.allclose(one.finish().values, other.finish().values, atol=1e-4)


def test_an_empty_video_and_other_encoders_have_no_labels(extractor: ImageTagger) -> None:
    assert labels_of(extractor.start().finish()) == []
    assert labels_of(Stream(torch.zeros(1, 256), Fraction(2))) == []


def test_probable_labels_are_on_the_stream(extractor: ImageTagger) -> None:
    session = extractor.start()
    session.probabilities.append(0.7 * torch.eye(len(extractor.words))[[5, 5, 5]])
    stream = session.finish()
    assert labels_of(stream) == [(extractor.words[5], 0.7)]
    assert stream.late_s == 0.0


def test_extractor_contract(extractor: ImageTagger) -> None:
    it: Extractor = extractor
    assert (it.name, it.dim, it.frame_step * it.rate_hz) == ("semantic", 256, 25)


def test_middle_square_undoes_the_squash() -> None:
    """A 448x224 picture with a centred square of 112 px, squashed to 224x224, is square again."""
    squashed = torch.zeros(1, 1, 224, 224)
    squashed[..., 56:168, 84:140] = 1.0  # 112 high, 56 wide
    middle = middle_square(squashed, 2.0)[0, 0] > 0.5
    assert abs(int(middle.any(0).sum()) - int(middle.any(1).sum())) <= 2
    assert torch.equal(middle_square(squashed, 1.0), squashed)


def test_embedding_points_at_the_most_probable_label_as_far_as_it_is_probable() -> None:
    vectors = torch.eye(3, 8)
    values = label_embedding(torch.tensor([[0.8, 0.0, 0.05], [0.05, 0.06, 0.0], [0.7, 0.6, 0.0]]), vectors)
    assert values[0].tolist() == pytest.approx([0.8] + [0.0] * 7)
    assert values[1].abs().max() == 0  # nothing is probable
    assert values[2].norm() == pytest.approx(1.0) and values[2][0] > values[2][1] > 0


def test_smoothing_keeps_what_stays() -> None:
    steady = torch.full((6, 2), 0.4)
    assert torch.allclose(smooth(steady), steady)
    blip = torch.zeros(7, 1)
    blip[3] = 0.9
    assert smooth(blip)[:, 0].tolist() == pytest.approx([0, 0, 0.3, 0.3, 0.3, 0, 0])


def test_the_most_probable_label_comes_first_and_improbable_ones_are_left_out() -> None:
    probabilities = torch.tensor([[0.3, 0.6, 0.01, 0.0], [0.4, 0.4, 0.02, 0.0]])
    assert top_labels(probabilities, ["a", "b", "c", "d"]) == [("b", 0.5), ("a", 0.35)]


def test_what_is_not_sure_in_particular_is_told_in_general() -> None:
    words = ["rifle", "pistol", "dog"]
    groups = {"gunshot": [0, 1]}
    assert top_labels(torch.tensor([[0.25, 0.25, 0.2]]), words, groups) == [("gunshot", 0.5)]
    assert top_labels(torch.tensor([[0.35, 0.25, 0.2]]), words, groups) == [("rifle", 0.35)]
    assert top_labels(torch.tensor([[0.15, 0.15, 0.2]]), words, groups) == []


def test_a_little_less_will_do_for_what_stands_out() -> None:
    words, groups = ["rifle", "pistol", "dog", "car"], {"gunshot": [0, 1]}
    assert top_labels(torch.tensor([[0.15, 0.14, 0.1, 0.1]]), words, groups) == [("gunshot", 0.29)]
    assert top_labels(torch.tensor([[0.15, 0.14, 0.15, 0.1]]), words, groups) == []  # the dog is half as probable
    assert top_labels(torch.tensor([[0.0, 0.0, 0.29, 0.1]]), words, groups) == [("dog", 0.29)]
    assert top_labels(torch.tensor([[0.0, 0.0, 0.27, 0.1]]), words, groups) == []


def test_a_little_less_will_do_for_animals():
    words, groups = ["dog", "wolf", "printer"], {"bark": [0, 1]}
    probabilities = torch.tensor([[0.27, 0.15, 0.29]])
    assert top_labels(probabilities, words, groups, animals=[0, 1]) == [("dog", 0.27)]
    assert top_labels(probabilities, words, groups) == [("bark", 0.42)]


def test_what_is_usually_seen_outdoors_says_where_a_picture_is(extractor: ImageTagger) -> None:
    scenes = extractor.scenes
    assert not set(scenes["outdoors"]) & set(scenes["indoors"])

    def seen(**shares: float) -> Stream:
        session = extractor.start()
        one = torch.zeros(1, len(extractor.words))
        for scene, share in shares.items():
            one[0, scenes[scene][0]] = share
        session.probabilities.append(one)
        return session.finish()

    assert is_outdoors(seen(outdoors=0.3, indoors=0.1)) is True
    assert is_outdoors(seen(outdoors=0.3, indoors=0.2)) is False
    assert is_outdoors(seen(outdoors=0.1)) is False
    assert is_outdoors(extractor.start().finish()) is None
    assert is_outdoors(Stream(torch.zeros(1, 256), Fraction(2))) is None


def test_groups_are_of_labels_of_the_table() -> None:
    words, _ = read_table()
    groups = members_of("group", words)
    assert {words[index] for index in groups["gunshot"]} >= {"rifle gun shot", "pistol gun shot"}
    members = [index for indices in groups.values() for index in indices]
    assert len(members) == len(set(members))


def test_simulation_is_mostly_right_and_never_longer_than_one() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(256, 256, generator=torch.Generator().manual_seed(1)), dim=-1)
    made = simulate_tagger(vectors, 10, torch.Generator().manual_seed(0))
    assert made.shape == (256, 10, 256)
    length = made.norm(dim=-1)
    assert length.max() <= 1.0 + 1e-5 and length[length > 0].min() >= MIN_PROBABILITY - 1e-5
    assert 0.15 < (length == 0).float().mean() < 0.35
    match = torch.nn.functional.cosine_similarity(made, vectors[:, None], dim=-1)[length > 0]
    assert match.median() > 0.7 and 0.05 < (match < 0.3).float().mean() < 0.25
    assert torch.equal(made, simulate_tagger(vectors, 10, torch.Generator().manual_seed(0)))


def test_simulation_of_silence_is_zero() -> None:
    assert simulate_tagger(torch.zeros(4, 16), 5, torch.Generator().manual_seed(0)).abs().max() == 0


def test_weights_of_another_shape_are_refused():
    state = dict(read(package_file(WEIGHTS_PACKAGE, WEIGHTS, "")))
    state["_fc.weight"] = state["_fc.weight"][:7]
    with pytest.raises(RuntimeError, match=r"the shape \(7, 1280\)"):
        from_checkpoint(state)

"""DFN5B CLIP: published keys, measured numbers, tokens, streams."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from madeup import FIXTURES, made_up_input
from mmaudio_parts import error_of, made_up, published, shapes, write_miniature

from foleycli.errors import FoleyError
from foleycli.features.clip_tokens import END, START, tokenize
from foleycli.features.dfn_clip import ClipConfig, ClipText, ClipVision, load_text, load_vision

REDUCED = ClipConfig(
    dim=64, vision_width=160, vision_blocks=2, vision_heads=2, text_width=64, text_blocks=2, text_heads=4
)
WORDS = ["a dog barks at a tennis ball", "", "Footsteps on ICE, 3 times!"]
CPU = torch.device("cpu")


def test_keys_and_shapes_are_those_of_the_published_file():
    with torch.device("meta"):
        own = shapes(ClipVision(ClipConfig()), "visual.") | shapes(ClipText(ClipConfig()))
    unused = {"text_projection": [1024, 1024], "logit_scale": []}
    assert own | unused == published("dfn5b_clip")


def test_tokens_are_as_measured():
    assert torch.equal(tokenize(WORDS), torch.from_numpy(np.load(FIXTURES / "clip_reduced.npz")["tokens"]))


def test_token_rules():
    (row,) = tokenize(["word " * 200])
    assert row[0] == START and row[-1] == END and (row[1:-1] == row[1]).all()
    assert torch.equal(*tokenize(["Rain &amp;  thunder\n"]), *tokenize(["rain & thunder"]))
    assert tokenize(["don't 10 été 🔔"]).max() < START + 2


def test_pictures_and_words_are_as_measured():
    numbers = np.load(FIXTURES / "clip_reduced.npz")
    vision, text = ClipVision(REDUCED), ClipText(REDUCED)
    vision.load_state_dict({key[7:]: value for key, value in made_up(vision, prefix="visual.").items()})
    text.load_state_dict(made_up(text))
    with torch.inference_mode():
        assert error_of(vision(made_up_input("clipimg", (1, 3, 384, 384))), numbers["image"]) < 1e-4
        assert error_of(text(tokenize(WORDS)), numbers["text_hidden"]) < 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    write_miniature(models)
    return models / "dfn5b-clip"


def test_a_stream_does_not_depend_on_how_pictures_come(folder):
    extractor = load_vision(folder, CPU)
    frames = np.random.default_rng(0).integers(0, 256, (11, 58, 58, 3), np.uint8)
    once, pieces = extractor.start(), extractor.start()
    once.push(frames)
    for piece in (frames[:1], frames[1:1], frames[1:9], frames[9:]):
        pieces.push(piece)
    whole = once.finish()
    assert whole.values.shape == (11, 32) and whole.rate_hz == Fraction(8)
    assert torch.allclose(whole.values, pieces.finish().values, atol=1e-5)
    assert torch.allclose(whole.values.norm(dim=1), torch.ones(11), atol=1e-5)
    assert extractor.start().finish().values.shape == (0, 32)


def test_words_are_sequences_of_unit_states(folder):
    states = load_text(folder, CPU).encode(["rain", ""])
    assert states.shape == (2, 77, 32) and states.dtype == np.float32
    assert np.allclose(np.linalg.norm(states, axis=-1), 1, atol=1e-5) and not np.allclose(states[0], states[1])


def test_files_that_do_not_fit_are_refused(folder):
    (folder / "config.json").write_text('{"kind": "clip", "class": "dfn-clip"}')  # full size
    with pytest.raises(FoleyError, match="does not hold the weights that are expected"):
        load_vision(folder, CPU)

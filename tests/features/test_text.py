"""WordLlamaText: real vectors from the installed package, without a network and without importing it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from foleycli.errors import FoleyError
from foleycli.features.text import WordLlamaText, package_file


@pytest.fixture(scope="module")
def text() -> WordLlamaText:
    return WordLlamaText()


def test_rows_have_length_one_and_an_empty_string_is_zero(text: WordLlamaText) -> None:
    vectors = text.encode(["dog bark", "", "   ", "rain on a tin roof"])
    assert vectors.shape == (4, 256) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 0, 1], abs=1e-5)
    assert text.encode([]).shape == (0, 256)


def test_upper_case_and_spaces_say_the_same(text: WordLlamaText) -> None:
    one, other = text.encode(["Gun  Shot ", "gun shot"])
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("near", "anchor", "far"),
    [
        ("barking puppy", "dog bark", "car engine"),
        ("rifle firing", "gun shot", "water stream"),
        ("hammer on anvil", "metal hammer", "bird song"),
        ("waterfall", "water stream", "gun shot"),
    ],
)
def test_words_of_like_meaning_are_near(text: WordLlamaText, near: str, anchor: str, far: str) -> None:
    near_v, anchor_v, far_v = text.encode([near, anchor, far])
    assert near_v @ anchor_v > far_v @ anchor_v + 0.2


def test_each_row_is_independent_of_the_others(text: WordLlamaText) -> None:
    assert np.array_equal(text.encode(["door slam", "a"])[0], text.encode(["door slam"])[0])


def test_encoding_imports_neither_wordllama_nor_an_http_client() -> None:
    code = (
        "import sys; from foleycli.features.text import WordLlamaText; WordLlamaText().encode(['dog']);"
        "print([m for m in ('wordllama', 'requests', 'pydantic', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_package_says_what_to_install() -> None:
    with pytest.raises(FoleyError) as error:
        package_file("no_such_package", "weights.bin", "pip install it")
    assert "no_such_package" in error.value.message and error.value.hint == "pip install it"

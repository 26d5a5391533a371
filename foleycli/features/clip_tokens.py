"""CLIP's tokenizer (Radford et al., arXiv 2103.00020): byte pair encoding of lower-cased text.

The merges are those of OpenAI's CLIP (MIT), in `clip_merges` beside this file.
"""

from __future__ import annotations

import html
import lzma
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MERGES = Path(__file__).parent / "clip_merges" / "merges.txt.xz"
N_TOKENS = 77
VOCABULARY = 49408
START, END, PAD = 49406, 49407, 0
# Merges stay within these pieces: contractions, runs of letters, single digits, runs of other characters.
PIECES = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def tokenize(texts: Sequence[str]) -> Tensor:
    """Token ids int64 [n, 77]: start, the text (cut off where it is too long), end, zeros."""
    ids = torch.full((len(texts), N_TOKENS), PAD, dtype=torch.int64)
    for row, text in enumerate(texts):
        words = _tokenizer().encode(clean(text)).ids[: N_TOKENS - 2]
        ids[row, : len(words) + 2] = torch.tensor([START, *words, END])
    return ids


def clean(text: str) -> str:
    """One line in lower case, with entities such as &amp; replaced."""
    plain = html.unescape(html.unescape(unicodedata.normalize("NFC", text)))
    return " ".join(plain.split()).lower()


@cache
def _tokenizer() -> Tokenizer:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    lines = lzma.decompress(MERGES.read_bytes()).decode("utf-8").splitlines()
    merges = [(first, second) for first, second in (line.split() for line in lines)]
    characters = _byte_characters()
    names = [*characters, *(character + "</w>" for character in characters), *(a + b for a, b in merges)]
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def _byte_characters() -> list[str]:
    """A printable character for every byte, in the vocabulary's order: bytes that are one already come first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(rest)]

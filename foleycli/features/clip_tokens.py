"""CLIP's words to token ids: byte pairs of lower-cased text, by the merges of OpenAI's CLIP (MIT) beside this file."""

from __future__ import annotations

import html
import lzma
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

MERGES = Path(__file__).parent / "clip_merges" / "merges.txt.xz"
N_TOKENS = 77
VOCABULARY = 49408
START, END, PAD = 49406, 49407, 0
# What is never merged across: short forms, runs of letters, single digits, runs of other signs.
PIECES = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def tokenize(texts: Sequence[str]) -> Tensor:
    """int64 [n, 77]: start, words (cut where they are too many), end, zeros."""
    ids = torch.full((len(texts), N_TOKENS), PAD, dtype=torch.int64)
    for row, text in enumerate(texts):
        words = _tokenizer().encode(clean(text)).ids[: N_TOKENS - 2]
        ids[row, : len(words) + 2] = torch.tensor([START, *words, END])
    return ids


def clean(text: str) -> str:
    """One line in lower case, entities such as &amp; written out."""
    written_out = html.unescape(html.unescape(unicodedata.normalize("NFC", text)))
    return " ".join(written_out.split()).lower()


@cache
def _tokenizer():  # noqa: ANN202 (tokenizers.Tokenizer, imported late)
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    lines = lzma.decompress(MERGES.read_bytes()).decode("utf-8").splitlines()
    merges = [tuple(line.split()) for line in lines]
    letters = _letters()
    names = [*letters, *(letter + "</w>" for letter in letters), *(a + b for a, b in merges)]
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def _letters() -> list[str]:
    """A printable sign for every byte, in the vocabulary's order: those that are one already come first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(rest)]

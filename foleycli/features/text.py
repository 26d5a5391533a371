"""Text to vectors: short descriptions in, one L2-normalised vector each out, offline.

The shipped model uses WordLlama's static token table (MIT; Miller, 2024), which its registry package contains.  The two
files are read directly: importing the package would set up logging for the whole process and pull in an HTTP client,
and its own loader may reach for the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from foleycli.errors import FoleyError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

REINSTALL = "Install it again: pip install --force-reinstall wordllama"


class TextEncoder(Protocol):
    """Texts to vectors."""

    name: str
    dim: int

    def encode(self, words: Sequence[str]) -> np.ndarray:
        """Vectors float32 [n, dim] of length 1, zeros for an empty string; of sequence encoders states [n, T, dim]."""
        ...


def package_file(package: str, inner: str, hint: str) -> Path:
    """A data file of an installed package, found without importing it.  Errors: FoleyError when it is missing."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / inner
        if path.is_file():
            return path
    raise FoleyError(f"the package {package} with {inner} is not installed", hint)


class WordLlamaText:
    """Mean of static token vectors, 256 wide: no word order, but instant and without a network."""

    name = "wordllama-l2-supercat-256"
    dim = 256

    def encode(self, words: Sequence[str]) -> np.ndarray:
        # The table is case-sensitive; the labels of the training sounds are in lower case.
        texts = [" ".join(text.lower().split()) for text in words]
        tokens = [_tokens(text) for text in texts]
        vectors = np.zeros((len(words), self.dim), np.float32)
        for n_tokens in {len(ids) for ids in tokens} - {0}:  # all texts of a length at once: there can be thousands
            rows = [row for row, ids in enumerate(tokens) if len(ids) == n_tokens]
            vectors[rows] = _table()[[tokens[row] for row in rows]].astype(np.float32).mean(axis=1)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)  # [n, 1]
        return (vectors / np.maximum(length, 1e-9)).astype(np.float32)  # [n, D]


@lru_cache(1 << 15)
def _tokens(text: str) -> list[int]:
    """A text's tokens; those of a sheet's cues have words in common."""
    ids: list[int] = _tokenizer().encode(text, add_special_tokens=False).ids
    return ids


@cache
def _tokenizer() -> Tokenizer:
    """WordLlama's tokenizer, read once in a process."""
    from tokenizers import Tokenizer

    path = package_file("wordllama", "tokenizers/l2_supercat_tokenizer_config.json", REINSTALL)
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@cache
def _table() -> np.ndarray:
    """WordLlama's vectors float16 [vocabulary, D], read once in a process."""
    from safetensors.numpy import load_file

    path = package_file("wordllama", "weights/l2_supercat_256.safetensors", REINSTALL)
    return load_file(path)["embedding.weight"]

"""CLAP (Wu et al., arXiv 2211.06687): sounds and words in one space, through `transformers`, an optional extra.

For CLAP's score, the cosine of a sound and its prompt, and for the Fréchet distance of its embeddings.  Longer sounds
are cut into pieces of 10 s, the length that it was trained on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from foleycli.errors import FoleyError
from foleycli.evaluation.embedders.base import GET_AGAIN, Embedding
from foleycli.nn.torchaudio import torchaudio_stand_in

RATE_HZ = 48000
PIECE = 10 * RATE_HZ
MIN_SAMPLES = 4800  # a shorter sound is padded with silence
INSTALL = "Install it: pip install 'foleycli[hub]'"


class ClapEmbedder:
    """The network on sound of any length, an embedding for every 10 s, and on words."""

    rate_hz = RATE_HZ

    def __init__(self, network: Any, processor: Any, device: torch.device) -> None:
        """A `ClapModel` and a `ClapProcessor` of transformers."""
        self.network, self.processor, self.device = network.to(device), processor, device

    @torch.inference_mode()
    def embed(self, samples: np.ndarray) -> Embedding:
        padded = np.pad(samples, (0, max(0, MIN_SAMPLES - len(samples))))
        vectors = []
        for first in range(0, len(padded), PIECE):
            piece = padded[first : first + PIECE]
            if first and len(piece) < RATE_HZ:  # hardly anything of a last piece
                continue
            inputs = self.processor.feature_extractor(piece, sampling_rate=RATE_HZ, return_tensors="pt")
            vectors.append(_normalised(self.network.get_audio_features(**inputs.to(self.device))))
        return Embedding(np.concatenate(vectors))

    @torch.inference_mode()
    def embed_words(self, words: str) -> np.ndarray:
        """A vector [D] of unit length."""
        inputs = self.processor.tokenizer([words], padding=True, truncation=True, return_tensors="pt")
        return _normalised(self.network.get_text_features(**inputs.to(self.device)))[0]


def _normalised(found: Any) -> np.ndarray:
    """[n, D] of unit length out of what transformers gives: a tensor, from version 5 on an output that holds it."""
    vectors = found if isinstance(found, torch.Tensor) else found.pooler_output
    return torch.nn.functional.normalize(vectors.float(), dim=-1).cpu().numpy()


def cosine(embedding: Embedding, words: np.ndarray) -> float:
    """CLAP's score of a sound for words [D]."""
    mean = embedding.vectors.mean(axis=0)
    return float(mean @ words / max(float(np.linalg.norm(mean)), 1e-9))


def load(path: Path, device: torch.device) -> ClapEmbedder:
    """From a folder of transformers' files, of which `path` is the weights; errors: FoleyError where one is missing."""
    try:
        with torchaudio_stand_in():  # transformers imports torchaudio wherever it is installed
            from transformers import ClapModel, ClapProcessor
    except ImportError:
        raise FoleyError("CLAP needs the package transformers", INSTALL) from None
    try:
        network = ClapModel.from_pretrained(path.parent, use_safetensors=True, local_files_only=True)
        processor = ClapProcessor.from_pretrained(path.parent, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise FoleyError(f"{path.parent} holds no CLAP that can be loaded: {first_line}", GET_AGAIN) from error
    return ClapEmbedder(network.requires_grad_(False).eval(), processor, device)

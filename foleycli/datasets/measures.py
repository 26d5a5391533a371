"""What curation measures of each example: whether sound and picture belong together, speech, music, a sound's print.

By ImageBind's cosine and an AudioSet tagger where their weights are present; else by the shipped encoder that ranks
takes, by what the image tagger sees, and by the words of the label.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from foleycli.datasets.reader import Dataset, StoredExample
from foleycli.dsp.mel import log_mel
from foleycli.evaluation import networks
from foleycli.evaluation.embedders.base import AudioEmbedder, AudioVisualScorer
from foleycli.features.extract import extract_features
from foleycli.features.sync import SyncExtractor, load_extractor
from foleycli.features.sync_score import sync_score
from foleycli.features.text import WordLlamaText
from foleycli.hub.resolve import resolve
from foleycli.media.audio import resample
from foleycli.records import Stream
from foleycli.settings import plain_yaml

SYNC_ENCODER = "sync-scorer"  # no model is conditioned on it: what it prefers is learnt by none
TAGGERS = ("PaSST", "PANNs")  # the first that is here
SPEECH, MUSIC = (0, 1, 2, 3, 4, 5, 27), (27, 137)  # of AudioSet's 527 classes: speech of all kinds, singing, music
N_OTHERS = 4  # sounds of other examples that a picture's own sound is compared with
PRINT_HZ, PRINT_BANDS, PRINT_STEPS = 16000, 16, 32
LABEL_WORDS = Path(__file__).with_name("label_words.yaml")


@dataclass(frozen=True)
class Measures:
    """Of one example; None: not measured, or there is nothing to measure it by."""

    key: str
    rms_db: float
    imagebind: float | None  # cosine of sound and picture
    sync: float | None  # how much better its own sound fits the picture than those of other examples
    tags: float | None  # cosine of its label and of the nearest label that is seen
    speech: float | None  # probability, the highest over the sound
    music: float | None


@dataclass(frozen=True)
class Networks:
    """What measures; None: no weights here."""

    imagebind: AudioVisualScorer | None
    tagger: AudioEmbedder | None
    sync: SyncExtractor | None  # where there is no ImageBind
    text: WordLlamaText | None


def load_networks(files: Mapping[str, Path], device: torch.device) -> Networks:
    """Of the networks whose files are here those that curation uses, and ours in place of others."""
    wanted = {name: path for name, path in files.items() if name == "ImageBind"}
    wanted |= {name: files[name] for name in tuple(name for name in TAGGERS if name in files)[:1]}
    loaded = networks.load(wanted, device)
    imagebind = loaded.scorers.get("ImageBind")
    return Networks(
        imagebind=imagebind,
        tagger=next(iter(loaded.embedders.values()), None),
        sync=None if imagebind else load_extractor(resolve(SYNC_ENCODER), device, torch.float32),
        text=None if imagebind else WordLlamaText(),
    )


def measure_shard(dataset: Dataset, split: str, number: int, by: Networks) -> tuple[list[Measures], np.ndarray]:
    """The measures of a shard's examples, and the prints of their sounds float32 [n, PRINT_BANDS * PRINT_STEPS]."""
    examples = list(dataset.read(split, number, "media"))
    sounds = [example.sound() for example in examples]
    measured = []
    for k, (example, (samples, rate_hz)) in enumerate(zip(examples, sounds, strict=True)):
        others = [sounds[(k + step) % len(sounds)][0] for step in range(1, min(N_OTHERS, len(sounds) - 1) + 1)]
        speech, music = speech_and_music(samples, rate_hz, by.tagger) if by.tagger else (None, None)
        measured.append(
            Measures(
                key=example.key,
                rms_db=float(example.facts["rms_db"]),
                imagebind=_cosine(example, samples, rate_hz, by.imagebind) if by.imagebind else None,
                sync=fit_above_others(example, samples, others, rate_hz, by.sync) if by.sync and others else None,
                tags=label_seen(str(example.facts["label"]), example.facts["seen"], by.text) if by.text else None,
                speech=speech,
                music=music,
            )
        )
    prints = [sound_print(samples, rate_hz) for samples, rate_hz in sounds]
    return measured, np.stack(prints) if prints else np.zeros((0, PRINT_BANDS * PRINT_STEPS), np.float32)


def _cosine(example: StoredExample, samples: np.ndarray, rate_hz: int, scorer: AudioVisualScorer) -> float | None:
    """ImageBind's cosine; it reads the picture from a file, as it does in evaluation."""
    with tempfile.TemporaryDirectory(prefix="foley-curate-") as folder:
        path = Path(folder, "picture.mp4")
        path.write_bytes(example.files["mp4"])
        return scorer.scores(resample(samples[None], rate_hz, scorer.rate_hz)[0], path).get("ib_score")


def fit_above_others(
    example: StoredExample, samples: np.ndarray, others: Sequence[np.ndarray], rate_hz: int, extractor: SyncExtractor
) -> float:
    """By how much an example's own sound fits its picture better than other examples' sounds do on average."""
    side_px = extractor.frame_format.side_px
    stream: Stream = extract_features([example.pictures(side_px, side_px)], [extractor])[extractor.name]
    own, *theirs = (sync_score(extractor, stream, sound, rate_hz) for sound in (samples, *others))
    return own - float(np.mean(theirs))


def label_seen(label: str, seen: Sequence[tuple[str, float]], text: WordLlamaText) -> float | None:
    """Cosine of a label with the nearest of the labels that the image tagger gave; None where one is missing."""
    if not label or not seen:
        return None
    own, *others = text.encode([label, *(words for words, _ in seen)])
    return float(max(own @ other for other in others))


def speech_and_music(samples: np.ndarray, rate_hz: int, tagger: AudioEmbedder) -> tuple[float, float]:
    """The highest probability of a class of speech, and of music, by a tagger of AudioSet's classes."""
    logits = tagger.embed(resample(samples[None], rate_hz, tagger.rate_hz)[0]).logits
    assert logits is not None
    probabilities = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -30, 30)))
    return float(probabilities[list(SPEECH)].max()), float(probabilities[list(MUSIC)].max())


@cache
def label_words() -> dict[str, list[str]]:
    """Words by which a label says speech, or music."""
    return plain_yaml.read(LABEL_WORDS)


def named_in(label: str, words: Sequence[str]) -> str | None:
    """The first of some words that a label has, as a whole word or with an s."""
    return next((word for word in words if re.search(rf"\b{re.escape(word)}s?\b", label.lower())), None)


def sound_print(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """How a sound changes, float32 of unit length: what is constant in each band is taken off.

    Another encoding of the same sound has nearly the same print, another take of the same thing has not.
    """
    sound = torch.from_numpy(resample(samples[None], rate_hz, PRINT_HZ))
    level = log_mel(sound, PRINT_HZ, n_fft=1024, hop=PRINT_HZ // 100, n_mels=PRINT_BANDS)[0]  # [bands, frames]
    level = level.clamp_min(float(level.max()) - 3.0)  # log10: 60 dB below its loudest moment is silence
    steps = torch.nn.functional.adaptive_avg_pool1d(level[None], PRINT_STEPS)[0]
    changes = (steps - steps.mean(dim=1, keepdim=True)).flatten().numpy()
    return changes / max(float(np.linalg.norm(changes)), 1e-9)

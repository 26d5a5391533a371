"""Audio tags of generated sounds, compared with those of the real ones.

A tagger gives class probabilities [P, C] and embeddings [P, D] for P pieces of a sound.  A sound's classes are the mean
of its pieces', its embedding the mean of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

N_TOP = 5
PRESENT = 0.5  # a class is present in a sound where its probability in some piece is higher
FLOOR = 1e-4  # added to every class, so that the divergence is finite


@dataclass(frozen=True)
class Tags:
    """A tagger's output for one sound."""

    probabilities: np.ndarray  # float [P, C], each in 0..1; classes do not exclude one another
    embeddings: np.ndarray  # float [P, D]


@dataclass(frozen=True)
class TagMetrics:
    """Means over pairs of a real and a generated sound."""

    pairs: int
    kl: float  # of the class distributions, real against generated, in nats: lower is better
    cos: float  # of the embeddings
    top1_in_5: float  # share of pairs: the real sound's top class is among the generated sound's top five
    overlap_of_5: float  # how many of the two top fives are the same
    recall_at_1: float  # share of generated sounds whose nearest real sound, of all, is their own
    extra_speech: float  # share of pairs: speech is present in the generated sound and not in the real one
    extra_music: float


def class_distribution(probabilities: np.ndarray, ignored: int) -> np.ndarray:
    """Probabilities [P, C] as one distribution over classes [C]; the class `ignored` counts as absent."""
    mean = probabilities.mean(axis=0)
    mean[ignored] = 0.0
    return (mean + FLOOR) / (mean + FLOOR).sum()


def cosines(vectors: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Cosine of each of [n, D] with a vector [D]: [n]."""
    return vectors @ vector / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(vector) + 1e-9)


def is_extra(real: Tags, generated: Tags, index: int) -> bool:
    """Whether a class is present in the generated sound and not in the real one."""
    in_real, in_generated = (tags.probabilities[:, index].max() > PRESENT for tags in (real, generated))
    return bool(in_generated and not in_real)


def compare_tags(
    real: Sequence[Tags], generated: Sequence[Tags], *, others: Sequence[Tags] = (), classes: Sequence[str]
) -> TagMetrics:
    """The figures of pairs `real[k]`, `generated[k]`.

    others   real sounds without a partner, among which the nearest is sought too
    classes  names of the tagger's classes; "Silence", "Speech" and "Music" are among them
    Errors: ValueError for no pairs.
    """
    if not real or len(real) != len(generated):
        raise ValueError("tags of generated sounds are compared with those of as many real ones")
    silence, speech, music = (classes.index(name) for name in ("Silence", "Speech", "Music"))
    all_real = np.stack([tags.embeddings.mean(axis=0) for tags in (*real, *others)])  # [n, D]
    rows = []
    for k, (one, other) in enumerate(zip(real, generated, strict=True)):
        p, q = (class_distribution(tags.probabilities, silence) for tags in (one, other))
        top_real, top_generated = (np.argsort(-distribution)[:N_TOP] for distribution in (p, q))
        near = cosines(all_real, other.embeddings.mean(axis=0))
        rows.append((
            float((p * np.log(p / q)).sum()),
            float(near[k]),
            top_real[0] in top_generated,
            len({*top_real} & {*top_generated}),
            int(near.argmax()) == k,
            is_extra(one, other, speech),
            is_extra(one, other, music),
        ))  # fmt: skip
    means = (float(mean) for mean in np.mean(np.array(rows, dtype=np.float64), axis=0))
    kl, cos, top1_in_5, overlap_of_5, recall_at_1, extra_speech, extra_music = means
    return TagMetrics(
        pairs=len(rows),
        kl=kl,
        cos=cos,
        top1_in_5=top1_in_5,
        overlap_of_5=overlap_of_5,
        recall_at_1=recall_at_1,
        extra_speech=extra_speech,
        extra_music=extra_music,
    )

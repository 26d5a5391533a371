"""Distances between sets of sounds, from what a network says of each: Fréchet, Kullback-Leibler, inception score.

Numpy only; which network, and which of its outputs, is the caller's choice.
"""

from __future__ import annotations

import numpy as np

# As av-benchmark takes them, so that figures compare.
SPLITS, SHUFFLE_SEED = 10, 2020  # of the inception score
SOFTEN = 1e-6  # added to the generated sound's classes before their logarithm


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Between the normal distributions of two sets of embeddings [n, D] and [m, D] (Heusel et al., arXiv 1706.08500).

    The same figure as with a matrix square root, whose trace is found otherwise: of few embeddings as the sum of the
    singular values of their inner products [n, m], of many as that of the square roots of a symmetric product's
    eigenvalues.  With fewer embeddings than dimensions it comes out too high: compare sets of one size.
    Errors: ValueError for sets of fewer than two.
    """
    if min(len(one), len(other)) < 2:
        raise ValueError("a Fréchet distance needs two embeddings on each side")
    one, other = one.astype(np.float64), other.astype(np.float64)
    apart = one.mean(axis=0) - other.mean(axis=0)
    first, second = (x - x.mean(axis=0) for x in (one, other))
    first, second = first / np.sqrt(len(one) - 1), second / np.sqrt(len(other) - 1)  # covariances are x.T @ x
    if min(len(one), len(other)) <= one.shape[1]:
        shared = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    else:
        root = _root(first.T @ first)
        shared = np.sqrt(np.linalg.eigvalsh(root @ (second.T @ second) @ root).clip(0)).sum()
    return float(max(0.0, apart @ apart + np.square(first).sum() + np.square(second).sum() - 2 * shared))


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root of a covariance [D, D]."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def kl_divergence(real_logits: np.ndarray, generated_logits: np.ndarray) -> float:
    """KL(real || generated) of the classes' softmax, in nats, mean over pairs: logits [n, C] each, row k with row k."""
    real, generated = _log_softmax(real_logits), _log_softmax(generated_logits)
    return float((np.exp(real) * (real - np.log(np.exp(generated) + SOFTEN))).sum(axis=1).mean())


def inception_score(logits: np.ndarray) -> float:
    """exp of the mean KL of each sound's classes to those of all, mean over SPLITS parts of [n, C] shuffled.

    1 where all sounds are alike.  Fewer than twenty sounds make fewer parts: none has less than two.
    """
    n = len(logits)
    shuffled = _log_softmax(logits)[np.random.RandomState(SHUFFLE_SEED).permutation(n)]
    n_splits = min(SPLITS, max(1, n // 2))
    parts = [shuffled[k * n // n_splits : (k + 1) * n // n_splits] for k in range(n_splits)]
    return float(np.mean([_score(part) for part in parts]))


def _score(log_p: np.ndarray) -> float:
    p = np.exp(log_p)
    of_all = np.log(p.mean(axis=0, keepdims=True) + np.finfo(np.float64).tiny)
    return float(np.exp((p * (log_p - of_all)).sum(axis=1).mean()))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

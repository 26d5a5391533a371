"""Fréchet distance, KL and inception score, against what they are on paper."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.evaluation.metrics.distances import frechet_distance, inception_score, kl_divergence


def exact_normal(mean: np.ndarray, covariance: np.ndarray, n: int, seed: int) -> np.ndarray:
    """[n, D] whose sample mean and covariance are exactly these."""
    x = np.random.default_rng(seed).standard_normal((n, len(mean)))
    x -= x.mean(axis=0)
    whitened = x @ np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(x, rowvar=False)))).T
    return whitened @ np.linalg.cholesky(covariance).T + mean


def test_frechet_of_one_dimension_is_means_and_deviations():
    one = exact_normal(np.array([1.0]), np.array([[4.0]]), 50, 1)
    other = exact_normal(np.array([4.0]), np.array([[9.0]]), 70, 2)
    assert frechet_distance(one, other) == pytest.approx(3**2 + (2 - 3) ** 2)


def test_frechet_of_covariances_that_do_not_commute():
    first, second = np.array([[2.0, 0.8], [0.8, 1.0]]), np.array([[1.0, -0.5], [-0.5, 3.0]])
    # of two by two matrices: trace of the root of A B = sqrt(trace(A B) + 2 sqrt(det(A B)))
    product = first @ second
    shared = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = 5.0 + np.trace(first) + np.trace(second) - 2 * shared
    one, other = exact_normal(np.zeros(2), first, 40, 3), exact_normal(np.array([1.0, 2.0]), second, 60, 4)
    assert frechet_distance(one, other) == pytest.approx(expected)
    assert frechet_distance(other, one) == pytest.approx(expected)


def test_frechet_of_few_embeddings_of_many_dimensions():
    some = np.random.default_rng(5).standard_normal((6, 100)).astype(np.float32)
    assert frechet_distance(some, some) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(some, some + 0.5) == pytest.approx(100 * 0.25, rel=1e-4)
    with pytest.raises(ValueError, match="two embeddings"):
        frechet_distance(some[:1], some)


def test_kl_of_two_classes():
    real, generated = np.array([0.8, 0.2]), np.array([0.3, 0.7])
    told = kl_divergence(np.log(np.stack([real, generated])) + 7.0, np.log(np.stack([generated, generated])) - 3.0)
    assert told == pytest.approx((real * np.log(real / generated)).sum() / 2, abs=1e-5)


def test_kl_of_something_thought_impossible_is_finite():
    assert kl_divergence(np.array([[100.0, 0.0]]), np.array([[0.0, 100.0]])) == pytest.approx(-np.log(1e-6), rel=1e-3)


@pytest.mark.parametrize("n", [2, 7, 40])
def test_inception_score_of_sounds_that_are_all_alike_is_one(n):
    assert inception_score(np.tile(np.arange(5.0), (n, 1))) == pytest.approx(1)


def test_inception_score_of_sure_and_even_classes_is_their_number():
    """A shuffle is not even in every part: the mean over parts lies below the number of classes, never above."""
    assert inception_score(50 * np.eye(2)) == pytest.approx(2)
    told = inception_score(50 * np.eye(4)[np.arange(4000) % 4])
    assert 3.9 < told <= 4

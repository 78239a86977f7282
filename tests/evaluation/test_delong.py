import numpy as np
import pytest

from fastffdi.evaluation.delong import Difference, difference
from fastffdi.evaluation.metrics import auc


def two_models(count=120, gain=0.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], count // 2)
    shared = rng.normal(labels.astype(float), 1)
    return labels, shared + rng.normal(gain * labels, 0.7), shared + rng.normal(0, 0.7, count)


def test_the_difference_is_that_of_the_aucs():
    labels, first, second = two_models(gain=0.5)
    assert difference(labels, first, second).value == pytest.approx(auc(labels, first) - auc(labels, second))


def test_the_error_is_that_of_placements_by_a_slow_loop():
    labels, first, second = two_models(40, gain=0.5)
    first, second = first.round(), second.round()  # ties
    fakes, reals = labels == 1, labels == 0

    def wins(scores):
        pairs = scores[fakes][:, None] - scores[reals]
        return (pairs > 0) + 0.5 * (pairs == 0)

    apart = wins(first) - wins(second)
    variance = apart.mean(axis=1).var(ddof=1) / 20 + apart.mean(axis=0).var(ddof=1) / 20
    assert difference(labels, first, second).error == pytest.approx(np.sqrt(variance))


@pytest.mark.parametrize("gain", [0.0, 0.35])
def test_the_p_value_is_about_that_of_a_permutation_test(gain):
    labels, first, second = two_models(200, gain, seed=4)
    found = difference(labels, first, second)
    swap = np.random.default_rng(1).random((2000, 200)) < 0.5

    def aucs(scores):
        ranks = 1 + scores.argsort(axis=1).argsort(axis=1)[:, labels == 1]  # there are no ties
        return (ranks.mean(axis=1) - 101 / 2) / 100

    apart = aucs(np.where(swap, second, first)) - aucs(np.where(swap, first, second))
    more = (np.abs(apart) >= abs(found.value) - 1e-12).sum()
    assert found.p == pytest.approx(more / 2000, abs=0.04)


def test_the_same_scores_do_not_differ_and_one_image_tells_nothing():
    labels, first, _ = two_models()
    assert difference(labels, first, first) == Difference(0.0, 0.0, 1.0)
    assert difference(labels, labels.astype(float), 1.0 - labels) == Difference(1.0, 0.0, 0.0)
    assert difference(np.array([0, 1, 1]), np.arange(3.0), np.arange(3.0)) is None

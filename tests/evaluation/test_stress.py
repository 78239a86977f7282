import numpy as np
import pytest

from fastffdi.evaluation import metrics
from fastffdi.evaluation.stress import common, stressed


def test_the_figures_are_those_of_the_metrics_with_intervals_around_them():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    scores = (rng.random(200) + 0.5 * labels) / 1.5
    found = stressed(labels, scores, 0.4, resamples=100)
    assert list(found) == ["auc", "accuracy_at_threshold", "log_loss", "ece"]
    assert found["auc"].value == pytest.approx(metrics.auc(labels, scores))
    assert found["accuracy_at_threshold"].value == pytest.approx(metrics.accuracy(labels, scores, 0.4))
    assert found["log_loss"].value == pytest.approx(metrics.log_loss(labels, scores))
    for figure in (found["auc"], found["accuracy_at_threshold"], found["log_loss"]):
        assert figure.interval.low < figure.value < figure.interval.high


def test_images_count_that_have_a_score_in_every_version():
    scores = np.array([0.1, np.nan, 0.3])
    degraded = np.array([[0.1, 0.2], [0.1, 0.2], [0.3, np.nan]])
    assert common(scores, degraded).tolist() == [True, False, False]

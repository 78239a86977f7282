"""Values worked out by hand; the conventions are DeepfakeBench's."""

import math

import numpy as np
import pytest

from fastffdi.errors import RunError
from fastffdi.evaluation import metrics

# By falling score: fake .9, real .8, fake .7, fake .6, real .4, real .3, fake .2, real .1
LABELS = np.array([1, 0, 1, 1, 0, 0, 1, 0])
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1])
ONE_CLASS = (np.ones(4, dtype=int), np.array([0.1, 0.4, 0.6, 0.9]))
NOTHING = (np.array([], dtype=int), np.array([]))


def test_auc_counts_the_pairs_in_the_right_order():
    # Of the 16 pairs the fakes win 4, 3, 3 and 1.
    assert metrics.auc(LABELS, SCORES) == pytest.approx(11 / 16)


def test_a_tie_counts_half():
    assert metrics.auc(np.array([0, 1]), np.array([0.5, 0.5])) == 0.5


def test_average_precision_is_the_mean_precision_at_the_fakes():
    expected = (1 / 1 + 2 / 3 + 3 / 4 + 4 / 7) / 4
    assert metrics.average_precision(LABELS, SCORES) == pytest.approx(expected)


def test_accuracy_at_a_half_and_elsewhere():
    assert metrics.accuracy(LABELS, SCORES) == 6 / 8
    assert metrics.accuracy(LABELS, SCORES, threshold=0.85) == 5 / 8


def test_a_score_on_the_threshold_counts_as_fake():
    assert metrics.accuracy(np.array([1, 1, 0]), np.array([0.5, 0.5, 0.5])) == pytest.approx(2 / 3)


def test_log_loss_is_the_mean_surprise_in_nats():
    loss = metrics.log_loss(np.array([1, 0]), np.array([0.8, 0.4]))
    assert loss == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)


def test_log_loss_of_a_certain_mistake_is_finite():
    loss = metrics.log_loss(np.array([0]), np.array([1.0], dtype=np.float32))
    assert loss == pytest.approx(-math.log(1e-7))


def test_eer_where_both_error_rates_meet():
    # At threshold 0.6: one of four real above it, one of four fake below.
    assert metrics.eer(LABELS, SCORES) == 0.25


def test_eer_at_the_middle_of_a_straight_run():
    # Rates (FPR, TPR): (0, .5) (.5, .5) (1, .5) (1, 1): FNR = FPR in the middle of the horizontal run.
    assert metrics.eer(np.array([1, 0, 0, 1]), np.array([0.9, 0.8, 0.7, 0.6])) == 0.5


# By falling score, with the (FPR, FNR) after each image.
EERS = [
    # fake (0, 1/2), real (1/3, 1/2), fake (1/3, 0), real, real: nearest is FNR above FPR
    ([1, 0, 1, 0, 0], 1 / 3),
    # real (1/3, 1), fake (1/3, 2/3), fake (1/3, 1/3), …: they meet
    ([0, 1, 1, 1, 0, 0], 1 / 3),
    # fake (0, 1/3), real (1/2, 1/3), …: nearest is FNR below FPR
    ([1, 1, 0, 1, 0], 1 / 2),
    # fake (0, 1/2), real (1, 1/2), fake: both are 1/2 apart, and the first has the higher threshold
    ([1, 0, 1], 0.0),
]


@pytest.mark.parametrize(("labels", "expected"), EERS)
def test_eer_is_the_fpr_where_the_rates_are_nearest(labels, expected):
    scores = np.linspace(0.9, 0.1, len(labels))
    assert metrics.eer(np.array(labels), scores) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("target", "tpr"), [(0.0, 0.25), (0.24, 0.25), (0.25, 0.75), (0.75, 1.0), (1.0, 1.0)]
)
def test_tpr_is_the_highest_at_or_below_the_target(target, tpr):
    assert metrics.tpr_at_fpr(LABELS, SCORES, target).value == tpr


@pytest.mark.parametrize(("negatives", "reliable"), [(999, False), (1000, True)])
def test_tpr_is_reliable_from_ten_expected_false_positives(negatives, reliable):
    labels = np.array([1] + [0] * negatives)
    scores = np.linspace(1, 0, negatives + 1)
    assert metrics.tpr_at_fpr(labels, scores, 0.01) == metrics.Rate(1.0, negatives, reliable)


def test_one_class_leaves_the_two_class_measures_undefined():
    undefined = dict.fromkeys(("auc", "ap", "eer", "tpr_at_fpr_0.01", "tpr_at_fpr_0.001"))
    loss = -(math.log(0.1) + math.log(0.4) + math.log(0.6) + math.log(0.9)) / 4
    assert metrics.summary(*ONE_CLASS) == undefined | {"accuracy": 0.5, "log_loss": pytest.approx(loss)}


def test_no_fakes_leave_average_precision_undefined():
    assert metrics.average_precision(np.zeros(2, dtype=int), np.array([0.1, 0.2])) is None


def test_an_empty_set_leaves_everything_undefined():
    assert set(metrics.summary(*NOTHING).values()) == {None}


def test_one_class_gives_no_rate_but_its_negatives():
    rate = metrics.tpr_at_fpr(np.zeros(5000, dtype=int), np.linspace(0, 1, 5000), 0.01)
    assert rate == metrics.Rate(None, 5000, False)


def test_summary_has_every_measure_by_its_name():
    certainty = np.where(LABELS == 1, SCORES, 1 - SCORES)
    assert metrics.summary(LABELS, SCORES) == {
        "auc": pytest.approx(11 / 16),
        "ap": pytest.approx((1 / 1 + 2 / 3 + 3 / 4 + 4 / 7) / 4),
        "accuracy": 6 / 8,
        "log_loss": pytest.approx(-np.log(certainty).mean()),
        "eer": 0.25,
        "tpr_at_fpr_0.01": None,
        "tpr_at_fpr_0.001": None,
    }


def test_summary_gives_a_rate_only_where_it_is_reliable():
    labels = np.array([1, 1] + [0] * 1000)
    scores = np.concatenate([[1.0, 0.0], np.linspace(0.1, 0.9, 1000)])
    found = metrics.summary(labels, scores)
    assert (found["tpr_at_fpr_0.01"], found["tpr_at_fpr_0.001"]) == (0.5, None)


def test_scores_that_are_not_finite_are_a_failed_run():
    with pytest.raises(RunError, match="1 of 2 scores are not finite: the model has diverged"):
        metrics.auc(np.array([0, 1]), np.array([0.5, np.nan]))

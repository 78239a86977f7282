import numpy as np
import pytest
from sklearn.metrics import roc_curve

from fastffdi.evaluation import measures
from fastffdi.report import curves


@pytest.fixture(scope="module")
def known():
    """300 labels, and scores with ties."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 300)
    return labels, np.round(np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1), 2)


@pytest.mark.parametrize(("reals", "least"), [(1, 0.1), (10, 0.1), (150, 0.001), (10**9, 1e-6)])
def test_the_log_axis_begins_where_a_rate_can_be_told_from_0(reals, least):
    assert curves.least_rate(reals) == pytest.approx(least)


def test_the_roc_curve_is_the_highest_rate_that_each_false_alarm_rate_allows(known):
    roc, _ = curves.roc_and_precision(*known, resamples=100, seed=0, least=0.01)
    fpr, tpr, _ = roc_curve(*known, drop_intermediate=False)
    assert roc.y == pytest.approx([tpr[fpr <= at].max() for at in roc.x])
    assert (roc.x[0], roc.x[-1], roc.y[-1]) == (0.01, 1, 1)
    assert (roc.low <= roc.high).all()
    assert np.mean((roc.low <= roc.y) & (roc.y <= roc.high)) > 0.95


def test_precision_is_that_of_the_highest_threshold_with_such_a_recall(known):
    labels, scores = known
    _, found = curves.roc_and_precision(*known, resamples=100, seed=0, least=0.01)
    for recall, precision in zip(found.x[::20], found.y[::20], strict=True):
        cuts = [cut for cut in np.unique(scores) if np.mean(scores[labels == 1] >= cut) >= recall]
        assert precision == pytest.approx(labels[scores >= max(cuts)].mean())
    assert found.y[-1] == pytest.approx(labels[scores >= scores[labels == 1].min()].mean())


def test_a_band_is_that_of_the_resamples_one_by_one(known):
    whole = measures.whole(*known)
    at = np.array([0.001, 0.1, 0.5, 1])
    expected = [measures.tpr_at_fpr(whole, rate)[0] for rate in at]
    assert curves._tpr(whole, at)[0] == pytest.approx(expected)


def test_histograms_are_shares_of_a_class(known):
    real, fake = curves.histogram(*known)
    assert (real.sum(), fake.sum()) == pytest.approx((1, 1))
    assert curves.histogram(np.array([1, 1]), np.array([0.0, 1.0]))[1][[0, -1]].tolist() == [0.5, 0.5]
    assert curves.histogram(np.array([1]), np.array([1.0]))[0].sum() == 0


def test_bins_of_the_reliability_diagram_are_those_of_the_calibration_error(known):
    bins = curves.reliability(*known)
    error = sum(one.images * abs(one.share - one.score) for one in bins) / 300
    assert error == pytest.approx(measures.ece(measures.whole(*known))[0])
    assert all(0 <= one.low <= one.share <= one.high <= 1 for one in bins)


def test_tippett_curves_count_what_is_at_least_so_strong(known):
    labels, scores = known
    for curve, label in zip(curves.tippett(*known), (0, 1), strict=True):
        odds = scores[labels == label].clip(1e-7, 1 - 1e-7)
        ratios = np.sort(np.log10(odds / (1 - odds)))
        assert curve.x == pytest.approx(ratios)
        assert curve.y[[0, -1]] == pytest.approx([1, 1 / len(ratios)])


def test_a_tippett_curve_of_many_scores_is_thinned():
    scores = np.linspace(0.1, 0.9, 10_000)
    real, fake = curves.tippett(np.arange(10_000) % 2, scores)
    assert len(real.x) == len(fake.x) == 400


def test_counts_at_each_threshold_are_what_scores_at_least_that(known):
    labels, scores = known
    choices = curves.thresholds(0.4321)
    reals, fakes = curves.called_fake(labels, scores, choices)
    assert 0.4321 in choices
    assert (choices[0], choices[-1], len(choices) < 1100) == (0, 1, True)
    assert np.isin(np.arange(1001) / 1000, choices).all()
    for k in (0, 200, 500, len(choices) - 1):
        expected = [int(((scores >= choices[k]) & (labels == label)).sum()) for label in (0, 1)]
        assert [reals[k], fakes[k]] == expected

import numpy as np
import pytest

from fastffdi.evaluation import bootstrap, metrics
from fastffdi.evaluation.bootstrap import Interval, auc_interval, drawn, intervals, resampled
from fastffdi.evaluation.resample import Resample


def scored(count=200, seed=0, ties=True):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    return labels, scores.round(1) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
def test_the_auc_of_a_resample_is_scikit_learns_of_the_images_in_it(ties):
    labels, scores = scored(ties=ties)
    for resample in drawn(labels, scores, 20):
        for reals, fakes, found in zip(resample.reals, resample.fakes, bootstrap.auc(resample), strict=True):
            images = [np.repeat(resample.scores, counts.astype(int)) for counts in (reals, fakes)]
            targets = np.repeat([0, 1], [len(part) for part in images])
            assert found == pytest.approx(metrics.auc(targets, np.concatenate(images)), abs=1e-12)


def test_a_resample_has_as_many_of_each_class_as_the_set():
    labels, scores = scored()
    (resample,) = drawn(labels, scores, 50)
    assert (resample.reals.sum(axis=1) == np.sum(labels == 0)).all()
    assert (resample.fakes.sum(axis=1) == np.sum(labels == 1)).all()
    assert not resample.reals[:, ~np.isin(resample.scores, scores[labels == 0])].any()


def test_images_come_as_often_as_they_are_in_the_set():
    labels = np.array([0] * 4 + [1] * 2)
    (resample,) = drawn(labels, np.array([0.1, 0.1, 0.1, 0.2, 0.3, 0.4]), 4000)
    np.testing.assert_allclose(resample.reals.mean(axis=0), [3, 1, 0, 0], atol=0.06)
    np.testing.assert_allclose(resample.fakes.mean(axis=0), [0, 0, 1, 1], atol=0.06)


def test_the_interval_is_the_quantiles_of_a_slow_loop():
    labels, scores = scored(80)
    values = [metrics.auc(labels[rows], scores[rows]) for rows in bootstrap.images(labels, 300, seed=3)]
    found = intervals(labels, scores, {"auc": bootstrap.auc}, 300, seed=3, level=0.9)["auc"]
    assert (found.low, found.high) == pytest.approx(np.quantile(values, (0.05, 0.95)), abs=1e-12)
    assert found.level == 0.9


def test_parts_of_resamples_are_of_the_same_width(monkeypatch):
    labels, scores = scored()
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 600)
    parts = list(drawn(labels, scores, 7))
    assert [len(part.fakes) for part in parts] == [3, 3, 1]


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    # Reals uniform on [0, 1], fakes on [0.2, 1.2]: a fake scores below a real with 0.8² / 2.
    truth, inside = 1 - 0.8**2 / 2, 0
    for seed in range(200):
        rng, labels = np.random.default_rng(seed), np.repeat([0, 1], 60)
        found = intervals(labels, rng.random(120) + 0.2 * labels, {"auc": bootstrap.auc}, 300)["auc"]
        inside += found.low <= truth <= found.high
    assert 0.90 <= inside / 200 <= 0.98


def test_measures_see_the_same_resamples():
    labels, scores = scored()
    found = intervals(labels, scores, {"once": bootstrap.auc, "twice": lambda r: 2 * bootstrap.auc(r)}, 50)
    assert found["twice"].low == pytest.approx(2 * found["once"].low)


def test_perfect_scores_have_no_width_and_one_class_has_no_interval():
    assert auc_interval(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9])) == Interval(1.0, 1.0)
    assert auc_interval(np.array([1, 1]), np.array([0.8, 0.9])) is None
    assert auc_interval(np.array([], int), np.array([])) is None


def test_ties_count_half():
    both = Resample(np.array([0.5]), np.array([[3.0], [1.0]]), np.array([[2.0], [5.0]]))
    assert bootstrap.auc(both).tolist() == [0.5, 0.5]


def test_another_models_scores_are_of_the_same_resamples():
    labels, scores = scored(ties=False)
    auc = {"auc": bootstrap.auc}
    first = resampled(labels, scores, auc, 30)["auc"]
    assert resampled(labels, scores**2, auc, 30)["auc"].tolist() == first.tolist()
    assert resampled(labels, 1 - scores, auc, 30)["auc"] == pytest.approx(1 - first)


def test_the_images_of_a_resample_are_told_in_parts_too(monkeypatch):
    labels, scores = scored(50)
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 150)
    rows = list(bootstrap.images(labels, 7, seed=2))
    assert all((labels[one] == np.sort(labels)).all() for one in rows)
    found = resampled(labels, scores, {"auc": bootstrap.auc}, 7, seed=2)["auc"]
    assert found == pytest.approx([metrics.auc(labels[one], scores[one]) for one in rows], abs=1e-12)

import numpy as np
import pytest

from fastffdi.evaluation import bootstrap, delong, metrics
from fastffdi.evaluation.figures import compare, figures, groups, worst
from fastffdi.evaluation.scored import Scored

FEW = 200


def tied(count=600, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    return labels, np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1).round(2)


@pytest.fixture(scope="module")
def in_groups():
    """600 images: reals of cameras, fakes of two generators, the second of which fools the model."""
    labels, scores = tied()
    sources = np.where(labels == 0, "camera", np.where(np.arange(600) % 3 == 0, "gan", "diffusion"))
    scores = np.where(sources == "gan", scores - scores.min() / 2, scores)
    scores[sources == "gan"] *= 0.6
    return Scored(
        np.arange(600).astype(str).astype(object), labels, scores, {"source": sources.astype(object)}
    )


def test_figures_are_those_of_the_set_with_intervals_around_them():
    labels, scores = tied()
    found = figures(labels, scores, 0.4, FEW)
    assert found["auc"].value == pytest.approx(metrics.auc(labels, scores))
    assert found["accuracy_at_threshold"].value == pytest.approx(metrics.accuracy(labels, scores, 0.4))
    for name, figure in found.items():
        assert figure.interval.low <= figure.interval.high, name
    assert found["auc"].interval.low < found["auc"].value < found["auc"].interval.high


def test_intervals_are_those_of_a_slow_loop_over_the_same_draws():
    labels, scores = tied(120)
    values = {name: [] for name in ("auc", "eer", "log_loss")}
    for rows in bootstrap.images(labels, FEW):
        for name, found in values.items():
            found.append(getattr(metrics, name)(labels[rows], scores[rows]))
    for name, found in values.items():
        interval = figures(labels, scores, None, FEW)[name].interval
        assert (interval.low, interval.high) == pytest.approx(np.quantile(found, (0.025, 0.975)), abs=1e-9)


def test_rates_at_few_false_positives_are_marked():
    found = figures(*tied(), None, FEW)
    assert found["tpr_at_fpr_0.1"].note == ""
    assert found["tpr_at_fpr_0.001"].note.endswith("real images are too few; 10,000 are enough")


def test_of_one_class_there_is_what_needs_no_other():
    found = figures(np.ones(5, int), np.full(5, 0.75))
    assert found["auc"].value is found["cllr"].value is found["auc"].interval is None
    assert found["accuracy_at_0.5"].value == 1
    assert found["balanced_accuracy_at_0.5"].value is None
    assert found["brier"].value == pytest.approx(0.0625)
    assert {figure.note for figure in found.values()} == {"one class only"}


def test_constant_scores_tell_nothing():
    found = figures(np.array([0, 1] * 20), np.full(40, 0.5), None, FEW)
    assert (found["auc"].value, found["cllr"].value, found["cllr_min"].value) == pytest.approx((0.5, 1, 1))
    assert found["auc"].interval == bootstrap.Interval(0.5, 0.5)


def test_a_group_of_one_class_is_held_against_all_of_the_other(in_groups):
    camera, diffusion, gan = groups(in_groups, "source", None, FEW)
    assert [group.value for group in (camera, diffusion, gan)] == ["camera", "diffusion", "gan"]
    assert (camera.reals, camera.fakes, camera.joined) == (int((in_groups.labels == 0).sum()), 0, "fakes")
    assert (gan.reals, gan.joined) == (0, "reals")
    rows = (in_groups.labels == 0) | (in_groups.columns["source"] == "gan")
    expected = metrics.auc(in_groups.labels[rows], in_groups.scores[rows])
    assert gan.figures["auc"].value == pytest.approx(expected)
    assert worst([camera, diffusion, gan]) is gan
    assert worst([]) is None


def test_a_group_of_both_classes_stands_alone():
    labels, scores = tied()
    halves = np.where(np.arange(600) < 300, "a", "b").astype(object)
    first, _ = groups(Scored(halves, labels, scores, {"half": halves}), "half", None, FEW)
    assert first.joined is None
    assert first.figures["auc"].value == pytest.approx(metrics.auc(labels[:300], scores[:300]))


def test_two_models_are_compared_on_the_same_resamples():
    labels, scores = tied()
    found = compare(labels, scores, scores**2, FEW)
    assert found.auc == delong.Difference(0.0, 0.0, 1.0)
    assert found.intervals["auc"] == bootstrap.Interval(0.0, 0.0)
    assert found.intervals["brier"].high < 0 or found.intervals["brier"].low > 0
    worse = np.where(np.arange(600) % 2 == 0, 0.5, scores)
    found = compare(labels, scores, worse, FEW)
    assert found.intervals["auc"].low > 0
    assert found.auc.p < 0.01
    assert compare(np.ones(3, int), scores[:3], scores[:3]).auc is None

import numpy as np
import pytest

from fastffdi.errors import DataError, SettingError
from fastffdi.evaluation import metrics
from fastffdi.evaluation.calibration import Isotonic, Linear
from fastffdi.evaluation.decision import Band, Decision, band, choose


def scored(count=2000, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    return labels, np.clip(rng.normal(0.4 + 0.2 * labels, 0.15), 0, 1)


def rates(labels, scores, threshold):
    called = scores >= threshold
    return called[labels == 0].mean(), called[labels == 1].mean()


def test_the_eer_threshold_has_about_equal_errors():
    labels, scores = scored()
    fpr, tpr = rates(labels, scores, choose(labels, scores, "eer"))
    assert fpr == pytest.approx(1 - tpr, abs=0.002)
    assert fpr == pytest.approx(metrics.eer(labels, scores), abs=0.002)


def test_youden_is_the_best_of_all_thresholds():
    labels, scores = scored(300)
    found = np.subtract(*rates(labels, scores, choose(labels, scores, "youden"))[::-1])
    assert found == pytest.approx(max(np.subtract(*rates(labels, scores, cut)[::-1]) for cut in scores))


@pytest.mark.parametrize("most", [0.0, 0.01, 0.2, 1.0])
def test_a_false_positive_rate_is_kept_with_the_most_that_are_found(most):
    labels, scores = scored(300)
    fpr, tpr = rates(labels, scores, choose(labels, scores, f"fpr={most}"))
    assert fpr <= most
    possible = [rates(labels, scores, cut) for cut in [*scores, 2.0]]
    assert tpr == pytest.approx(max(found for false, found in possible if false <= most))


@pytest.mark.parametrize("cost", [0.0, 0.5, 1.0, 10.0])
def test_the_cost_is_the_least(cost):
    labels, scores = scored(300)

    def costs(threshold):
        fpr, tpr = rates(labels, scores, threshold)
        return fpr + cost * (1 - tpr)

    assert costs(choose(labels, scores, f"cost={cost}")) == pytest.approx(min(map(costs, [*scores, 2.0])))


def test_tied_scores_are_on_one_side():
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.2, 0.5, 0.5, 0.9])
    assert choose(labels, scores, "youden") in (pytest.approx(0.35), pytest.approx(0.7))


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("err", "unknown, did you mean 'eer'?"),
        ("fpr", "give eer, youden, fpr=0.01 or cost=10"),
        ("eer=1", "give eer, youden, fpr=0.01 or cost=10"),
        ("fpr=2", "give fpr from 0 to 1"),
        ("cost=x", "or a cost of at least 0"),
    ],
)
def test_other_rules_are_refused(rule, problem):
    with pytest.raises(SettingError) as error:
        choose(*scored(20), rule)
    assert problem in str(error.value)


def test_one_class_has_no_threshold():
    with pytest.raises(DataError, match="only one class is there"):
        choose(np.ones(3, int), np.full(3, 0.5), "eer")


@pytest.mark.parametrize("error_rate", [0.05, 0.1, 0.2])
def test_outside_the_band_the_error_rate_is_the_one_asked_for(error_rate):
    # 20 random splits of one set into a half to fit on and a half to measure on, each class by itself.
    labels, scores = scored(40_000)
    errors = []
    for seed in range(20):
        first = np.random.default_rng(seed).random(len(labels)) < 0.5
        found = band(labels[first], scores[first], error_rate)
        held, own = scores[~first], labels[~first]
        errors.append([(held < found.low)[own == 1].mean(), (held > found.high)[own == 0].mean()])
    assert np.mean(errors, axis=0) == pytest.approx([error_rate] * 2, abs=0.005)
    assert np.abs(np.array(errors) - error_rate).max() < 0.02


def test_where_the_classes_hardly_overlap_fewer_errors_are_made():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 2000)
    scores = np.clip(rng.normal(0.2 + 0.6 * labels, 0.05), 0, 1)
    found = band(labels, scores, 0.1)
    assert found.low < 0.5 < found.high
    assert (scores > found.high)[labels == 0].sum() == 0


def test_too_few_images_for_an_error_rate_are_refused():
    labels, scores = scored(30)
    with pytest.raises(DataError, match=r"--error-rate 0.01: needs 99 "):
        band(labels, scores, 0.01)
    with pytest.raises(SettingError, match="--error-rate 1"):
        band(labels, scores, 1)


def test_decisions_are_made_on_calibrated_scores():
    scores = np.array([0.1, 0.5, 0.6, 0.95, np.nan])
    plain = Decision(0.6, "eer", 100)
    assert plain(scores).tolist() == ["real", "real", "fake", "fake", "inconclusive"]
    turned = Decision(0.6, "eer", 100, Linear(-1.0, 0.0))
    assert turned(scores[:2]).tolist() == ["fake", "real"]
    banded = Decision(0.6, "eer", 100, None, Band(0.3, 0.6, 0.05))
    assert banded(scores).tolist() == ["real", "inconclusive", "inconclusive", "fake", "inconclusive"]


@pytest.mark.parametrize("known", [None, Linear(0.5, 0.7), Linear(3.0), Isotonic((0.2, 0.6), (0.1, 0.9))])
def test_the_cut_of_scores_is_where_decisions_change(known):
    decision = Decision(0.6, "eer", 100, known)
    cut = decision.cut()
    assert decision(np.array([np.nextafter(cut, 0), cut])).tolist() == ["real", "fake"]


def test_there_may_be_no_cut():
    assert Decision(0.95, "eer", 100, Isotonic((0.2, 0.6), (0.1, 0.9))).cut() > 1
    assert Decision(0.6, "eer", 100, Linear(-1.0)).cut() is None
    assert Decision(0.0, "eer", 100, Linear(1.0)).cut() == 0


def test_between_the_band_and_the_threshold_none_is_made():
    strict = Decision(0.9, "fpr=0.001", 100, None, Band(0.3, 0.6, 0.05))
    assert strict(np.array([0.2, 0.7, 0.95])).tolist() == ["real", "inconclusive", "fake"]


def test_it_comes_back_from_plain_data():
    for decision in (
        Decision(0.5, "eer", 10),
        Decision(0.5, "fpr=0.01", 10, Linear(0.5, 0.1), Band(0.2, 0.7, 0.1)),
    ):
        assert Decision.from_data(decision.to_data()) == decision


@pytest.mark.parametrize(
    "change",
    [{"threshold": None}, {"threshold": float("nan")}, {"band": [1]}, {"calibration": {"kind": "x"}}],
)
def test_other_data_is_refused(change):
    with pytest.raises(ValueError, match=r"decision|calibration"):
        Decision.from_data(Decision(0.5, "eer", 10).to_data() | change)

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, brier_score_loss

from fastffdi.evaluation import measures, metrics
from fastffdi.evaluation.bootstrap import drawn
from fastffdi.evaluation.resample import Resample


def scored(count=300, seed=0, ties=True):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    return labels, scores.round(1) if ties else scores


def of_set(measure, labels, scores, **more):
    return measure(measures.whole(np.array(labels), np.array(scores)), **more)[0]


def slow_ece(labels, scores):
    bins = np.minimum((scores * 15).astype(int), 14)
    gaps = [abs(scores[bins == b].mean() - labels[bins == b].mean()) * np.mean(bins == b) for b in set(bins)]
    return sum(gaps)


REFERENCES = {
    "auc": metrics.auc,
    "ap": metrics.average_precision,
    "eer": metrics.eer,
    "accuracy_at_0.5": metrics.accuracy,
    "balanced_accuracy_at_0.5": lambda labels, scores: balanced_accuracy_score(labels, scores >= 0.5),
    "accuracy_at_threshold": lambda labels, scores: metrics.accuracy(labels, scores, 0.37),
    "balanced_accuracy_at_threshold": lambda y, scores: balanced_accuracy_score(y, scores >= 0.37),
    "log_loss": metrics.log_loss,
    "brier": brier_score_loss,
    "ece": slow_ece,
    **{
        f"tpr_at_fpr_{target:g}": lambda labels, scores, t=target: metrics.tpr_at_fpr(labels, scores, t).value
        for target in measures.TARGETS
    },
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", REFERENCES)
def test_it_is_the_reference_for_a_set_and_for_each_resample(name, ties):
    labels, scores = scored(ties=ties)
    measure = measures.standard(0.37)[name]
    assert of_set(measure, labels, scores) == pytest.approx(REFERENCES[name](labels, scores), abs=1e-9)
    for resample in drawn(labels, scores, 12):
        for reals, fakes, found in zip(resample.reals, resample.fakes, measure(resample), strict=True):
            images = [np.repeat(resample.scores, counts.astype(int)) for counts in (reals, fakes)]
            targets = np.repeat([0, 1], [len(part) for part in images])
            assert found == pytest.approx(REFERENCES[name](targets, np.concatenate(images)), abs=1e-9)


def test_cllr_is_what_it_is_by_hand():
    # Ratios 3 and 1 for fakes, 1/3 for the real image: (log2(4/3) + log2 2) / 2 and log2(4/3), halved.
    found = of_set(measures.cllr, [1, 1, 0], [0.75, 0.5, 0.25])
    assert found == pytest.approx(((np.log2(4 / 3) + 1) / 2 + np.log2(4 / 3)) / 2)
    assert of_set(measures.cllr, [1, 0, 0], [0.5, 0.5, 0.5]) == pytest.approx(1)


def test_the_least_cllr_is_that_of_pooled_adjacent_violators():
    # Real, fake, real, fake: the middle two are pooled, at a ratio of 1; the outer ones cost nothing.
    found = of_set(measures.cllr_min, [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4])
    assert found == pytest.approx((0.5 * 1 + 0.5 * 1) / 2)
    assert f"{of_set(measures.cllr_min, [0, 0, 1], [0.1, 0.2, 0.3])}" == "0.0"  # and not -0.0
    assert of_set(measures.cllr_min, [1, 1, 0], [0.1, 0.2, 0.3]) == pytest.approx(1)  # the wrong way round


def test_the_least_cllr_minds_no_monotonous_change_and_how_many_a_class_has():
    labels, scores = scored(ties=False)
    least = of_set(measures.cllr_min, labels, scores)
    assert least < of_set(measures.cllr, labels, scores)
    assert of_set(measures.cllr_min, labels, scores**3) == pytest.approx(least)
    more = [np.concatenate([part, *[part[labels == 0]] * 4]) for part in (labels, scores)]
    assert of_set(measures.cllr_min, *more) == pytest.approx(least)


def test_certain_and_wrong_costs_what_float32_reaches():
    assert of_set(measures.log_loss, [1], [0.0]) == pytest.approx(-np.log(1e-7))


def test_scores_without_images_change_nothing():
    labels, scores = scored()
    known, wider = measures.whole(labels, scores), np.linspace(0, 1, 41).round(3)
    counts = []
    for part in (known.reals, known.fakes):
        spread = np.zeros((1, len(wider)))
        spread[0, np.searchsorted(wider, known.scores.round(3))] = part
        counts.append(spread)
    for name, measure in measures.standard(0.37).items():
        assert measure(Resample(wider, *counts))[0] == pytest.approx(measure(known)[0], abs=1e-9), name

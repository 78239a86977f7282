import numpy as np
import pytest

from fastffdi.evaluation.bias import Factor, shifts

rng = np.random.default_rng(0)
LABELS = np.arange(400) % 2


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def logits_of(real, fake, spread=0.5):
    """Logits about `real` for reals and about `fake` for fakes."""
    return np.where(LABELS, fake, real) + rng.normal(0, spread, len(LABELS))


@pytest.fixture(scope="module")
def plain():
    return logits_of(-1, 3)


def found(plain, *degraded):
    return shifts(LABELS, sigmoid(plain), sigmoid(np.stack(degraded, axis=1)), resamples=200)


def test_a_shift_is_the_share_of_the_way_to_the_other_class(plain):
    distance = plain[LABELS == 1].mean() - plain[LABELS == 0].mean()
    ((reals, fakes),) = found(plain, plain + np.where(LABELS, 0.4, 1))
    assert (reals.label, fakes.label) == (0, 1)
    assert reals.value == pytest.approx(1 / distance)
    assert fakes.value == pytest.approx(-0.4 / distance)
    assert reals.interval.low < reals.value < reals.interval.high
    assert reals.interval.high - reals.interval.low < 0.05


def test_the_auc_is_of_one_class_degraded_then_of_both(plain):
    # Reals become what fakes are: nothing is told any more; together with fakes that move along, all is.
    ((reals, fakes),) = found(plain, plain + 4)
    assert reals.auc == pytest.approx(0.5, abs=0.1)
    assert reals.auc_change == pytest.approx(reals.auc - 1, abs=1e-3)
    assert reals.auc_interval.low <= reals.auc_change <= reals.auc_interval.high
    assert (fakes.auc_change, fakes.auc_both_change) == (
        pytest.approx(0, abs=1e-3),
        pytest.approx(0, abs=1e-3),
    )


def test_a_degradation_that_changes_nothing_shifts_nothing(plain):
    ((reals, fakes),) = found(plain, plain)
    for shift in (reals, fakes):
        assert (shift.value, shift.interval.low, shift.interval.high) == (0, 0, 0)
        assert (shift.auc_change, shift.auc_interval.high) == (0, 0)


def test_several_degradations_are_measured_apart(plain):
    one, other = found(plain, plain + 1, plain - 1)
    assert one[0].value == pytest.approx(-other[0].value)


def test_scores_that_tell_nothing_have_no_way_to_go():
    chance = logits_of(0, 0)
    assert found(chance, chance + 1) is None


def test_the_same_seed_gives_the_same_intervals(plain):
    assert found(plain, plain + 1) == found(plain, plain + 1)


def factor(plain, moved, tells=True):
    ((reals, _),) = found(plain, plain + moved)
    return Factor("JPEG quality", (95, 75), 1.0, tells, reals)


def test_a_shortcut_tells_the_classes_and_moves_scores_a_quarter_of_the_way(plain):
    assert factor(plain, 2).found
    assert not factor(plain, 0.9).found
    assert not factor(plain, -2).found
    assert not factor(plain, 2, tells=False).found
    assert not Factor("size", (100, 100), 0.5, False, None).found


def test_a_shift_that_may_be_less_than_a_quarter_is_no_shortcut():
    uncertain = logits_of(-1, 3, spread=0.1)
    lucky = np.where(rng.random(len(LABELS)) < 0.02, 60, 0)
    assert not factor(uncertain, lucky).found

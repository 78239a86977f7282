import numpy as np
import pytest

from fastffdi.evaluation.resample import Resample


@pytest.fixture
def two():
    """Two resamples of three scores."""
    reals, fakes = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]]), np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    return Resample(np.array([0.1, 0.5, 0.9]), reals, fakes)


def test_rates_at_a_score_are_those_of_the_curve_and_above_all_they_are_0(two):
    for place in range(3):
        fpr, tpr = two.rates(np.full(2, place))
        assert fpr.tolist() == two.fpr[:, place].tolist()
        assert tpr.tolist() == two.tpr[:, place].tolist()
    assert np.array(two.rates(np.full(2, 3))).tolist() == [[0, 0], [0, 0]]
    assert two.fpr.tolist() == [[1, 1 / 3, 0], [1, 1, 0]]


@pytest.mark.parametrize("wanted", [[0, 3], [1, 2], [3, 0]])
def test_the_first_place_is_found_in_each_resample(two, wanted):
    assert two.first(lambda places: places >= wanted).tolist() == wanted


def test_steps_are_the_scores_that_fakes_have(two):
    steps = two.steps
    assert steps.starts.tolist() == [0, 2]
    assert (steps.fakes.tolist(), steps.reals.tolist()) == ([1, 1, 1, 1], [1, 0, 0, 0])
    assert steps.reals_below.tolist() == [2, 3, 0, 3]
    assert steps.fakes_below.tolist() == [0, 1, 0, 1]
    assert steps.sums(np.arange(4.0)).tolist() == [1, 5]
    assert steps.of_each(np.array([7.0, 8.0])).tolist() == [7, 7, 8, 8]


def test_what_scores_alone_give_is_worked_out_once(two):
    again = Resample(two.scores, two.fakes, two.reals, two.known)
    assert two.of_scores("twice", lambda scores: scores * 2).tolist() == [0.2, 1.0, 1.8]
    assert again.of_scores("twice", pytest.fail) is two.of_scores("twice", pytest.fail)

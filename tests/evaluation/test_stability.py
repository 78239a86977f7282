import numpy as np

from fastffdi.evaluation.decision import Band, Decision
from fastffdi.evaluation.stability import Stability

NAMES = ("jpeg_50", "blur_1")


def test_an_answer_that_stays():
    found = Stability.of(np.array([0.9, 0.2]), np.array([[0.8, 0.95], [0.1, 0.4]]), Decision(0.5, "0.5", 0))
    np.testing.assert_allclose(found.spread, [0.15, 0.3])
    assert found.flips.tolist() == [0, 0]
    assert found.decisions.tolist() == ["fake", "real"]
    assert found.reasons(NAMES).tolist() == ["", ""]


def test_an_answer_that_flips_is_inconclusive_and_says_why():
    found = Stability.of(np.array([0.6, 0.4]), np.array([[0.4, 0.3], [0.4, 0.5]]), Decision(0.5, "0.5", 0))
    np.testing.assert_allclose(found.spread, [0.3, 0.1])
    assert found.flips.tolist() == [2, 1]
    assert found.decisions.tolist() == ["inconclusive", "inconclusive"]
    assert found.reasons(NAMES).tolist() == ["jpeg_50: real; blur_1: real", "blur_1: fake"]


def test_what_is_undecided_does_not_flip_and_flips_nothing():
    decision = Decision(0.5, "0.5", 0, band=Band(0.3, 0.7, 0.1))
    found = Stability.of(np.array([0.6, 0.9]), np.array([[0.1, 0.9], [0.6, 0.4]]), decision)
    assert found.flips.tolist() == [0, 0]
    assert found.decisions.tolist() == ["inconclusive", "fake"]
    assert found.reasons(NAMES).tolist() == ["score in the inconclusive band", ""]


def test_an_image_without_a_score():
    found = Stability.of(np.array([np.nan]), np.full((1, 2), np.nan), Decision(0.5, "0.5", 0))
    assert np.isnan(found.spread).all()
    assert found.flips.tolist() == [0]
    assert found.decisions.tolist() == ["inconclusive"]
    assert found.reasons(NAMES).tolist() == ["no score"]

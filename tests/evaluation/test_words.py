import pytest

from fastffdi.evaluation import measures
from fastffdi.evaluation.bootstrap import Interval
from fastffdi.evaluation.words import p_value, shown, word


def test_every_measure_has_words():
    words = [word(name) for name in measures.standard(0.3)]
    assert len(set(words)) == len(words)
    assert "balanced accuracy at the threshold" in words
    assert "TPR at FPR 0.0001" in words


def test_intervals_are_two_numbers():
    assert shown(Interval(0.97123, 1)) == "0.9712 … 1.0000"
    assert shown(Interval(-0.1, 0.1), sign=True) == "-0.1000 … +0.1000"
    assert shown(None) == ""


@pytest.mark.parametrize(("p", "words"), [(0.03123, "p = 0.0312"), (1e-5, "p < 0.0001"), (1, "p = 1.0000")])
def test_small_p_values_are_only_said_to_be_small(p, words):
    assert p_value(p) == words

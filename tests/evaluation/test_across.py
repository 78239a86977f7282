import pytest

from fastffdi.evaluation.across import Across, across
from fastffdi.evaluation.figures import Figure


def of(**values):
    return {name: Figure(value, None) for name, value in values.items()}


def test_each_set_counts_the_same_and_the_worst_is_named():
    found = across({"a": of(auc=0.9, eer=0.1), "b": of(auc=0.7, eer=0.3), "c": of(auc=0.8, eer=0.3)})
    assert (found["auc"].mean, found["auc"].sd) == (pytest.approx(0.8), pytest.approx(0.1))
    assert (found["auc"].worst, found["auc"].worst_set, found["auc"].sets) == (0.7, "b", 3)
    assert (found["eer"].worst, found["eer"].worst_set) == (0.3, "b")


@pytest.mark.parametrize("name", ["log_loss", "brier", "ece", "cllr", "cllr_min"])
def test_of_costs_more_is_worse(name):
    assert across({"a": of(**{name: 0.2}), "b": of(**{name: 0.4})})[name].worst_set == "b"


def test_a_set_without_a_value_does_not_count():
    found = across({"a": of(auc=0.9, brier=0.1), "b": of(auc=None, brier=0.2)})
    assert found["auc"] == Across(0.9, None, 0.9, "a", 1)
    assert found["brier"].sets == 2
    assert "auc" not in across({"b": of(auc=None)})

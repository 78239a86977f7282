import numpy as np
import pytest

from fastffdi.audit.balance import balance
from fastffdi.data.manifest import Manifest


def split(real: int, fake: int) -> Manifest:
    names = np.array([str(k) for k in range(real + fake)], object)
    return Manifest("/x", names, np.array([0] * real + [1] * fake))


@pytest.mark.parametrize("counts", [(50, 50), (90, 10), (10, 90)])
def test_classes_in_balance_are_no_finding(counts):
    assert list(balance(split(*counts), "training")) == []


@pytest.mark.parametrize(("counts", "word"), [((91, 9), "fake"), ((9, 91), "real")])
def test_a_rare_class_is_a_warning(counts, word):
    (finding,) = balance(split(*counts), "training")
    assert (finding.kind, finding.severity) == ("imbalance", "warning")
    assert finding.text == f"9 of 100 training images, 9 %, are {word}"


def test_an_absent_class_is_an_error():
    (finding,) = balance(split(5, 0), "validation")
    assert (finding.kind, finding.severity, finding.text) == (
        "one-class",
        "error",
        "no validation image is fake",
    )

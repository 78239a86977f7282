"""Cllr and Cllr-min are those of `lir`, the toolkit of the Netherlands Forensic Institute.

It needs Python 3.12, and brings pymc and numba, so it is no extra of ours: pip install lir, and these run.
"""

import numpy as np
import pytest

from fastffdi.evaluation import measures
from fastffdi.evaluation.calibration import logits

theirs = pytest.importorskip("lir.metrics", reason="lir is not installed; it needs Python 3.12 or later")


def lirs(labels, scores):
    """The scores as lir has them: logarithms, to the base of 10, of likelihood ratios."""
    from lir.data.models import LLRData

    ratios = logits(scores) / np.log(10)
    return LLRData(features=ratios[:, None], hypothesis=labels)


@pytest.mark.parametrize("fakes", [0.5, 0.1])
@pytest.mark.parametrize("digits", [2, 6])
@pytest.mark.parametrize("name", ["cllr", "cllr_min"])
def test_it_is_lirs(name, digits, fakes):
    rng = np.random.default_rng(0)
    labels = (rng.random(2000) < fakes).astype(int)
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.15), 0.01, 0.99).round(digits)
    (found,) = getattr(measures, name)(measures.whole(labels, scores))
    assert found == pytest.approx(getattr(theirs, name)(lirs(labels, scores)), abs=1e-9)

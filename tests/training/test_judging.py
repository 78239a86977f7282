import numpy as np

from fastffdi.training.judging import best_of

LABELS = np.array([0, 0, 1, 1])
GOOD, POOR = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.1, 0.8, 0.2, 0.9])


def test_the_better_auc_wins():
    verdict = best_of(LABELS, {"raw": POOR, "ema": GOOD})
    assert (verdict.name, verdict.aucs) == ("ema", {"raw": 0.75, "ema": 1.0})
    assert verdict.figures["auc"] == 1
    assert best_of(LABELS, {"raw": GOOD, "ema": POOR}).name == "raw"


def test_of_equal_ones_the_first_is_taken():
    assert best_of(LABELS, {"raw": GOOD, "ema": GOOD * 0.5}).name == "raw"


def test_of_one_class_the_smaller_loss_wins():
    verdict = best_of(np.array([1, 1]), {"raw": np.array([0.2, 0.2]), "ema": np.array([0.9, 0.9])})
    assert (verdict.name, verdict.aucs) == ("ema", {"raw": None, "ema": None})

"""What figures and intervals are called and look like, wherever they are shown."""

from __future__ import annotations

from fastffdi.evaluation.bootstrap import Interval

_WORDS = {
    "auc": "AUC",
    "ap": "average precision",
    "eer": "equal error rate",
    "log_loss": "log-loss (nats)",
    "brier": "Brier score",
    "ece": "calibration error (ECE)",
    "cllr": "Cllr (bits)",
    "cllr_min": "Cllr-min (bits)",
}


def word(name: str) -> str:
    """What a figure is called."""
    for beginning, words in (
        ("tpr_at_fpr_", "TPR at FPR "),
        ("balanced_accuracy_at_", "balanced accuracy at "),
        ("accuracy_at_", "accuracy at "),
    ):
        if name.startswith(beginning):
            return words + name.removeprefix(beginning).replace("threshold", "the threshold")
    return _WORDS[name]


def shown(interval: Interval | None, sign: bool = False) -> str:
    """`0.9712 … 0.9801`; nothing where there is none."""
    how = "+.4f" if sign else ".4f"
    return "" if interval is None else f"{interval.low:{how}} … {interval.high:{how}}"


def p_value(p: float) -> str:
    """`p = 0.0312`."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.4f}"

"""All of a run in figures: summary.json in its folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastffdi.evaluation.bootstrap import RESAMPLES, auc_interval
from fastffdi.evaluation.scored import Scored
from fastffdi.files import atomic
from fastffdi.model.checkpoint import versions
from fastffdi.training.folder import SUMMARY
from fastffdi.training.history import History
from fastffdi.training.log import flat
from fastffdi.training.result import EpochResult

FORMAT = 1

#: Shares of the time from which on data, or saving, is what limited a run.
_WAITED, _SAVED = 0.1, 0.05


def summary(history: History, scored: Scored | None) -> dict[str, Any]:
    """What can be said of some epochs, at least one, and of the validation scores of the best of them.

    The interval is the 95 % one of a stratified bootstrap; None where the AUC is undefined, or without
    scores.
    """
    best, epochs = history.best, history.results
    assert best is not None, "there is an epoch"
    interval = None if scored is None else auc_interval(scored.labels, scored.scores)
    waited, saved = _share(epochs, "wait_share"), _share(epochs, "save_share")
    return {
        "format": FORMAT,
        "epochs": len(epochs),
        "best_epoch": best.epoch + 1,
        "weights": best.weights,
        "auc": best.validation["auc"],
        "auc_interval": None if interval is None else asdict(interval) | {"resamples": RESAMPLES},
        "best": flat(best),
        "seconds": round(history.seconds, 3),
        "images_per_second": len(epochs) / sum(1 / epoch.images_per_second for epoch in epochs),
        "wait_share": waited,
        "save_share": saved,
        "limited_by": limited_by(waited, saved),
        "versions": versions(),
    }


def limited_by(waited: float, saved: float) -> str:
    """data, saving or compute: what took the time, given the shares that waiting and saving took."""
    if waited >= _WAITED and waited >= saved:
        return "data"
    return "saving" if saved >= _SAVED else "compute"


def save(folder: Path, found: dict[str, Any]) -> None:
    """Write it. Raises as `atomic`."""
    with atomic(folder / SUMMARY) as part:
        part.write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read(folder: Path) -> dict[str, Any] | None:
    """What `save` has written; None where there is no such file, or another one."""
    try:
        found = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None


def _share(epochs: Sequence[EpochResult], name: str) -> float:
    """The mean over the time of all epochs, which have equally many images."""
    seconds = [1 / epoch.images_per_second for epoch in epochs]
    shares = [getattr(epoch, name) for epoch in epochs]
    return sum(a * b for a, b in zip(seconds, shares, strict=True)) / sum(seconds)

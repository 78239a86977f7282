"""Runs beside each other: what came out of each, and the settings in which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastffdi.errors import DataError, SettingError
from fastffdi.training import config, scores, state, summary
from fastffdi.training.folder import CONFIG, SUMMARY
from fastffdi.training.history import History

#: Settings that have a column of their own.
_OWN = ("--backbone", "--pipeline", "--epochs")


@dataclass(frozen=True)
class Compared:
    """A run.

    Attributes:
        folder: as it was named
        epochs: that are over
        of: how many there were to be
        figures: of the epochs that are over, as `summary.summary` has them; None before the first is
        settings: what decided its course, by option
    """

    folder: str
    backbone: str
    pipeline: str
    epochs: int
    of: int
    figures: dict[str, Any] | None
    settings: dict[str, Any]

    def to_data(self) -> dict[str, Any]:
        """In one row, with plain values; the bounds of the interval apart."""
        found = self.figures or {}
        interval = found.get("auc_interval") or {}
        return {
            "run": self.folder,
            "backbone": self.backbone,
            "pipeline": self.pipeline,
            "epochs": self.epochs,
            "of_epochs": self.of,
            "best_epoch": found.get("best_epoch"),
            "auc": found.get("auc"),
            "auc_low": interval.get("low"),
            "auc_high": interval.get("high"),
            "images_per_second": found.get("images_per_second"),
            "seconds": found.get("seconds"),
            "limited_by": found.get("limited_by"),
        }


def read(folder: Path) -> Compared:
    """The run in a folder, by its summary, or by its last state while it has none.

    Raises DataError where there is neither.
    """
    found = summary.read(folder)
    return _finished(folder, found) if found is not None else _unfinished(folder)


def differing(runs: Sequence[Compared]) -> list[str]:
    """The settings that are not the same in all of them, but for those with a column of their own."""
    names = dict.fromkeys(name for run in runs for name in run.settings if name not in _OWN)
    return [name for name in names if len({repr(run.settings.get(name)) for run in runs}) > 1]


def _finished(folder: Path, found: dict[str, Any]) -> Compared:
    try:
        settings, epochs = dict(found["settings"]), int(found["epochs"])
        named = str(found["backbone"]), str(found["pipeline"])
        return Compared(str(folder), *named, epochs, int(settings["--epochs"]), found, settings)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / SUMMARY}: is no summary of a run ({error!r}); delete it") from None


def _unfinished(folder: Path) -> Compared:
    try:
        found = state.newest(folder, lambda line: None)
    except SettingError:  # none of them is whole
        found = None
    if found is None:
        raise DataError(f"{folder}: is no run, without {SUMMARY} and state; name a folder that train made")
    history = History()
    found.restore({"history": history})
    figures = summary.summary(history, scores.read(folder)) if history.best is not None else None
    settings = found.identity
    return Compared(
        str(folder),
        settings["--backbone"],
        _pipeline(folder) or settings["--pipeline"],
        len(history.results),
        settings["--epochs"],
        figures,
        settings,
    )


def _pipeline(folder: Path) -> str | None:
    """The recipe's name, which a state does not have."""
    try:
        return Path(config.read(folder / CONFIG)["pipeline"]).name
    except (SettingError, KeyError):
        return None

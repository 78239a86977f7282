"""Several runs that differ in one thing only, one after the other: of some seeds, or of the data's folds."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fastffdi.data.folds import Pool
from fastffdi.errors import SettingError
from fastffdi.files import atomic
from fastffdi.inference import csv_table
from fastffdi.training import state
from fastffdi.training.best import best_predictor
from fastffdi.training.folder import BEST, refuse_old_run, writing
from fastffdi.training.result import EpochResult
from fastffdi.training.settings import AUTO, Settings

OUT_OF_FOLD = "out_of_fold.csv"

_TRAIN, _VAL = "train.csv", "val.csv"


@dataclass(frozen=True)
class Member:
    """One of the runs: `kind` is seed or fold, `number` which one."""

    kind: str
    number: int
    settings: Settings

    @property
    def checkpoint(self) -> Path:
        """The model of its best epoch."""
        return self.settings.output / BEST


def parse_seeds(text: str) -> list[int]:
    """`0,1,2` as numbers. Raises SettingError for anything else."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise SettingError(f"--seeds {text}: give whole numbers such as 0,1,2")
    seeds = [int(word) for word in words]
    if len(set(seeds)) < len(seeds):
        raise SettingError(f"--seeds {text}: give each seed once")
    return seeds


def of_seeds(settings: Settings, seeds: Iterable[int]) -> list[Member]:
    """A run for each seed, in folders of `settings.output`. Raises SettingError as `refuse_old_run`."""
    output = settings.output
    return _checked(
        settings,
        [Member("seed", s, replace(settings, seed=s, output=output / f"seed-{s}")) for s in seeds],
    )


def of_folds(settings: Settings, pool: Pool, folds: np.ndarray) -> list[Member]:
    """A run for each fold, validated on it and trained on the others, in folders of `settings.output`.

    What a fold is stands in two label files in its folder, so that its config.yaml repeats its run. Raises
    SettingError as `refuse_old_run`.
    """
    members = []
    for number in range(int(folds.max()) + 1):
        output = settings.output / f"fold-{number}"
        own = replace(
            settings,
            data=None,
            limit=None,
            output=output,
            train_labels=output / _TRAIN,
            train_images=Path(pool.root),
            val_labels=output / _VAL,
            val_images=Path(pool.root),
        )
        members.append(Member("fold", number, own))
    members = _checked(settings, members)
    if settings.resume is not None:
        _check_same_folds(settings.output, members, pool, folds)
    for member in members:
        with writing(member.settings.output):
            member.settings.output.mkdir(parents=True, exist_ok=True)
            pool.write(folds != member.number, member.settings.output / _TRAIN)
            pool.write(folds == member.number, member.settings.output / _VAL)
    return members


def _check_same_folds(folder: Path, members: Sequence[Member], pool: Pool, folds: np.ndarray) -> None:
    """Raise SettingError where the folder holds other folds, which its runs and their settings refer to."""
    for member in members:
        path = member.settings.output / _VAL
        if path.is_file() and path.read_bytes() != pool.label_file(folds == member.number):
            raise SettingError(
                f"--resume: the folds in {folder} are others; repeat --folds, --group-by, --seed and the "
                "images, or name another folder"
            )


def _checked(settings: Settings, members: list[Member]) -> list[Member]:
    """The members, where none would lose an old run; --resume of a series goes on where there is one."""
    if settings.resume is None:
        for member in members:
            refuse_old_run(member.settings.output, settings.overwrite)
    begun = any(state.files(member.settings.output) for member in members)
    if settings.resume is None or not begun:
        return members
    return [replace(member, settings=replace(member.settings, resume=AUTO)) for member in members]


def mean_and_sd(results: Sequence[EpochResult]) -> tuple[float, float] | None:
    """Of the AUCs, with n - 1 in the denominator; None for fewer than two, or where one is undefined."""
    aucs = [auc for result in results if (auc := result.validation["auc"]) is not None]
    if len(aucs) < max(2, len(results)):
        return None
    return statistics.mean(aucs), statistics.stdev(aucs)


def write_table(path: Path, members: Sequence[Member], results: Sequence[EpochResult]) -> None:
    """Write a row for each run, in full precision: its best epoch, that epoch's figures, its checkpoint."""
    text = io.StringIO()
    table = csv.writer(text)
    figures = list(results[0].validation)
    table.writerow([members[0].kind, "best_epoch", *(f"val_{name}" for name in figures), "checkpoint"])
    for member, result in zip(members, results, strict=True):
        values = ("" if (value := result.validation[name]) is None else repr(value) for name in figures)
        table.writerow([member.number, result.epoch + 1, *values, member.checkpoint])
    with writing(path.parent), atomic(path) as part:
        part.write_text(text.getvalue(), encoding="utf-8", newline="", errors="surrogateescape")


def out_of_fold(members: Sequence[Member], folds: np.ndarray) -> np.ndarray:
    """(N,) float64: P(fake) of each image by the model that was not trained on it; NaN where it is skipped.

    Raises as Predictor.
    """
    scores = np.full(len(folds), np.nan)
    for member in members:
        scores[folds == member.number] = best_predictor(member.settings)(member.settings.dataset().val)
    return scores


def write_out_of_fold(path: Path, pool: Pool, folds: np.ndarray, scores: np.ndarray) -> None:
    """Write `img_name,target,fold,y_pred`, one row for each image; no score is an empty cell."""
    columns = {"img_name": pool.names, "target": pool.labels, "fold": folds, "y_pred": scores}
    with writing(path.parent), atomic(path) as part:
        csv_table.write(part, columns)

"""Cross-validation: all images of a data set in folds, each of which is the validation split once."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fastffdi.data.labels import first_three
from fastffdi.data.layout import Dataset
from fastffdi.data.manifest import LABELS, Manifest
from fastffdi.errors import DataError
from fastffdi.files import atomic


@dataclass(frozen=True, eq=False)
class Pool:
    """The training and validation images of a data set together, each once, in their order.

    Attributes:
        root: absolute folder that holds all of them
        files: (N,) object array of str, their names below it
        names: (N,) as the user wrote them; the same as `files` where two images have one name
        labels: (N,) int64
        groups: (N,) object array of str: images of one group are in one fold; None: each is on its own
    """

    root: str
    files: np.ndarray
    names: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None

    @classmethod
    def of(cls, dataset: Dataset, group_by: str | None = None) -> Pool:
        """All images of a data set, grouped by a further column of its label files.

        Raises DataError where there is no such column or a cell of it is empty, and for an image that has one
        label here and the other one there.
        """
        parts = (dataset.train, dataset.val)
        roots = [os.path.realpath(part.root) for part in parts]
        paths = _column(
            [path for part, root in zip(parts, roots, strict=True) for path in _paths(part, root)]
        )
        labels = np.concatenate([_labels(part) for part in parts])
        groups = None if group_by is None else np.concatenate([_groups(part, group_by) for part in parts])
        kept = _once(paths, labels)
        root = os.path.commonpath(roots)
        files = _column([os.path.relpath(path, root) for path in paths[kept]])
        names = np.concatenate([part.names for part in parts])[kept]
        names = names if len(set(names)) == len(names) else files
        return cls(root, files, names, labels[kept], None if groups is None else groups[kept])

    def folds(self, count: int, seed: int, say: Callable[[str], None] = lambda line: None) -> np.ndarray:
        """(N,) int64: the fold of each image, from 0; classes are in proportion as far as groups allow.

        `say` gets a line about folds with a single class. Raises DataError for more folds than images of a
        class, or than groups.
        """
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        self._check(count)
        kind = StratifiedKFold if self.groups is None else StratifiedGroupKFold
        splits = kind(count, shuffle=True, random_state=seed).split(self.files, self.labels, self.groups)
        folds = np.empty(len(self.files), np.int64)
        for number, (_, rows) in enumerate(splits):
            folds[rows] = number
            if len(present := np.unique(self.labels[rows])) < len(LABELS):
                only = ", ".join(LABELS[label] for label in present) or "no"
                say(f"fold {number} has {only} images only: its AUC is undefined")
        return folds

    def write(self, rows: np.ndarray, file: Path) -> None:
        """Write some of the images as a label file, names relative to `root`; whole or not at all."""
        with atomic(file) as part:
            part.write_bytes(self.label_file(rows))

    def label_file(self, rows: np.ndarray) -> bytes:
        """What `write` writes."""
        columns = {"img_name": self.files[rows], "target": self.labels[rows]}
        # As objects: pandas' own strings cannot hold names that are not UTF-8 where pyarrow is installed.
        table = pd.DataFrame(columns, dtype=object)
        return table.to_csv(index=False, lineterminator="\n").encode("utf-8", "surrogateescape")

    def _check(self, count: int) -> None:
        for label, name in enumerate(LABELS):
            images = int((self.labels == label).sum())
            if images < count:
                raise DataError(f"--folds {count}: there are only {images} {name} images; give fewer folds")
        groups = count if self.groups is None else len(set(self.groups))
        if groups < count:
            raise DataError(f"--folds {count}: there are only {groups} groups; give fewer folds")


def _paths(part: Manifest, root: str) -> list[str]:
    return [os.path.join(root, name) for name in part.file_names]


def _labels(part: Manifest) -> np.ndarray:
    assert part.labels is not None, "find_dataset gives labels"
    return part.labels


def _groups(part: Manifest, name: str) -> np.ndarray:
    groups = part.column(name)
    if (empty := groups == "").any():
        shown = first_three(part.names[empty])
        raise DataError(f"--group-by {name}: {int(empty.sum())} images have none ({shown}); add theirs")
    return groups


def _once(paths: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The first row of each path."""
    codes, _ = pd.factorize(paths)
    _, first = np.unique(codes, return_index=True)
    other = np.flatnonzero(labels != labels[first][codes])
    if len(other):
        raise DataError(f"{paths[other[0]]}: is real on one line and fake on another; keep one of them")
    return np.sort(first)


def _column(texts: list[str]) -> np.ndarray:
    column = np.empty(len(texts), object)
    column[:] = texts
    return column

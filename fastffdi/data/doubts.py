"""What makes a run pointless and is seen from names and labels alone."""

from __future__ import annotations

import os

from fastffdi.data.layout import Dataset
from fastffdi.data.manifest import LABELS, Manifest


def doubts(dataset: Dataset) -> list[str]:
    """A warning, one line each, for classes without images and for validation images that train as well."""
    lines = [*_one_class(dataset.train, "training"), *_one_class(dataset.val, "validation")]
    shared = overlap(dataset.train, dataset.val)
    if shared:
        what = f"{shared:,} of {len(dataset.val):,} validation images are training images too"
        lines.append(f"warning: {what}; give others, since these say nothing about new images")
    return lines


def overlap(train: Manifest, val: Manifest) -> int:
    """How many rows of `val` are files of `train`, also by another way to their folder.

    No file is looked at, only folders: another name for a file is not noticed.
    """
    known = set(_real(train))
    return sum(path in known for path in _real(val))


def _real(rows: Manifest) -> list[str]:
    """The paths, with links in their folders resolved."""
    split = [path.rpartition("/") for path in rows.paths()]
    places = {folder: os.path.realpath(folder) for folder in {folder for folder, _, _ in split}}
    return [f"{places[folder]}/{name}" for folder, _, name in split]


def _one_class(rows: Manifest, what: str) -> list[str]:
    missing = [LABELS[label] for label, count in rows.class_counts().items() if not count]
    effect = "nothing can be learnt" if what == "training" else "the AUC is undefined"
    return [f"warning: no {what} image is {label}, so that {effect}; add some" for label in missing]

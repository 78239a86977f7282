"""A group of images that is kept out of training and validation: those of one generator, one camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastffdi.data.labels import first_three
from fastffdi.data.layout import Dataset
from fastffdi.data.manifest import LABELS, Manifest
from fastffdi.errors import DataError, SettingError


def parse(text: str) -> tuple[str, str]:
    """The column and the value of `COLUMN=VALUE`. Raises SettingError for anything else."""
    column, sign, value = text.partition("=")
    if not (column and sign and value):
        raise SettingError(f"--holdout {text}: give COLUMN=VALUE, such as generator=stylegan")
    return column, value


def hold_out(dataset: Dataset, text: str) -> Dataset:
    """The data set without the images that have a value in a further column of the label files.

    They are its `held_out`; where they are of one class, the remaining validation images of the other class
    are too. Raises DataError where no image has the value, or none is left to train or to validate on.
    """
    column, value = parse(text)
    parts = dataset.train, dataset.val
    cells = [part.column(column) for part in parts]
    held = [part.take(own == value) for part, own in zip(parts, cells, strict=True)]
    if not any(map(len, held)):
        known = first_three(sorted(set(np.concatenate(cells))))
        raise DataError(f"--holdout {text}: no image has that; '{column}' holds {known}")
    train, val = (part.take(own != value) for part, own in zip(parts, cells, strict=True))
    for name, part in (("train", train), ("validate", val)):
        if not len(part):
            raise DataError(f"--holdout {text}: leaves no images to {name} on; hold out a smaller group")
    found = tuple(part for part in held if len(part))
    beside = _of_other_class(found, val)
    what = f"{dataset.description}; {sum(map(len, found))} images of {text} held out"
    for part in beside:
        what += f", with {len(part)} {LABELS[_labels(part)[0]]} validation images beside them"
    return replace(dataset, train=train, val=val, description=what, held_out=found + beside)


def _of_other_class(held: tuple[Manifest, ...], val: Manifest) -> tuple[Manifest, ...]:
    present = set(np.concatenate([_labels(part) for part in held]).tolist())
    lacking = [part for label in {0, 1} - present if len(part := val.take(_labels(val) == label))]
    return tuple(lacking)


def _labels(part: Manifest) -> np.ndarray:
    assert part.labels is not None, "find_dataset gives labels"
    return part.labels

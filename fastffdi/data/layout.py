"""How a data folder lays out its splits.

Label files, in the folder itself or in its `phase1/`: the challenge's layout,

    trainset_label.txt (or train_label.txt)    images in trainset/
    valset_label.txt   (or val_label.txt)      images in valset/

or class folders:

    train/real  train/fake                     also 0 for real and 1 for fake, in upper or lower case
    val/real    val/fake                       also valid/ or validation/

The first folder that has a label file decides; class folders are looked for after that. Names in
class folders are relative to the data folder (`val/real/x.jpg`), at any depth, sorted by code point. Files
that are no images are left out, and so are files and folders whose names begin with a dot.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fastffdi.data.formats import FORMATS
from fastffdi.data.labels import Say, first_three, read_labels
from fastffdi.data.links import Links
from fastffdi.data.manifest import Manifest
from fastffdi.data.walk import images_below, listing, told
from fastffdi.errors import DataError

_CLASSES = {"real": 0, "0": 0, "fake": 1, "1": 1}
_Split = Literal["train", "val"]
_LABEL_FILES: dict[_Split, tuple[str, ...]] = {
    "train": ("trainset_label.txt", "train_label.txt"),
    "val": ("valset_label.txt", "val_label.txt"),
}
_CLASS_ROOTS: dict[_Split, tuple[str, ...]] = {"train": ("train",), "val": ("val", "valid", "validation")}


@dataclass(frozen=True)
class Dataset:
    """A training and a validation split; `description` says in one line what was found.

    `held_out` are images that belong to neither, to be scored when a model is trained.
    """

    train: Manifest
    val: Manifest
    description: str
    held_out: tuple[Manifest, ...] = ()

    def limit(self, n: int, seed: int) -> Dataset:
        """About `n` images of each split, classes in proportion; see Manifest.limit."""
        train, val = self.train.limit(n, seed), self.val.limit(n, seed)
        what = f"{self.description}; limited to {len(train)} and {len(val)} images"
        return Dataset(train, val, what, tuple(part.limit(n, seed) for part in self.held_out))


def find_dataset(
    folder: str | os.PathLike[str], say: Say | None = None, follow_symlinks: bool = False
) -> Dataset:
    """The training and validation images of a folder, both labelled.

    Args:
        folder: in the challenge's layout (label files, images in trainset/ and valset/) or with class
            folders (train/real, train/fake, val/real, val/fake)
        say: gets a line for a label file that is not as it should be, but was understood, and for other files
            than images in class folders
        follow_symlinks: also take images by symbolic links that lead out of the folder

    Returns a Dataset, whose `train` and `val` are Manifests: names, and labels (N,) int64, 0 real, 1 fake.
    Raises DataError when the folder or a split is absent or empty, for names given twice in the training
    split, for labels other than 0 and 1, for images that are listed but absent, and for links that lead out
    of the folder.

    >>> data = fastffdi.find_dataset("DIR")
    >>> len(data.train), data.val.class_counts()
    (40, {0: 8, 1: 8})
    """
    folder, tell = Path(folder), say or (lambda line: None)
    train, val = (_find_split(folder, split, "required", tell, follow_symlinks) for split in _LABEL_FILES)
    return Dataset(train, val, f"{folder}: training {_summary(train)}, validation {_summary(val)}")


def listed_dataset(folder: Path, say: Say = lambda line: None, follow_symlinks: bool = False) -> Dataset:
    """As `find_dataset`, for a check: images that are absent, and names given twice, stay in.

    Raises DataError where it does, for all else, and for a split of whose images none is there.
    """
    train, val = (
        _find_split(folder, split, "required", say, follow_symlinks, lenient=True) for split in _LABEL_FILES
    )
    return Dataset(train, val, f"{folder}: training {_summary(train)}, validation {_summary(val)}")


def label_files(
    train_labels: Path,
    train_images: Path,
    val_labels: Path,
    val_images: Path,
    say: Say = lambda line: None,
    follow_symlinks: bool = False,
) -> Dataset:
    """The splits of two label files, each with the folder of its images.

    `say` and the errors are those of `find_dataset`.
    """
    links = [Links(images, follow_symlinks) for images in (train_images, val_images)]
    train = read_labels(
        train_labels, train_images, targets="required", duplicates=False, say=say, links=links[0]
    )
    val = read_labels(val_labels, val_images, targets="required", duplicates=True, say=say, links=links[1])
    return Dataset(train, val, f"training {_summary(train)}, validation {_summary(val)}")


def has_splits(folder: Path) -> bool:
    """Whether the folder is meant as a data set: it holds a label file, or class folders of a split."""
    return _label_place(folder) is not None or any(_classes(folder, split) for split in _CLASS_ROOTS)


def label_files_of(folder: Path) -> list[Path]:
    """The label files in the folder of a data set, of either split; none where it has class folders."""
    place = _label_place(folder)
    names = [name for files in _LABEL_FILES.values() for name in files]
    return [] if place is None else [place / name for name in names if (place / name).is_file()]


def find_validation(folder: Path, say: Say = lambda line: None, follow_symlinks: bool = False) -> Manifest:
    """The validation split of `folder` alone, to predict on: labels are None if its file has none.

    Names may be given twice. `say` and the errors are those of `find_dataset`, for this split only.
    """
    return _find_split(folder, "val", "optional", say, follow_symlinks)


def plain_folder(folder: Path, say: Say = lambda line: None, follow_symlinks: bool = False) -> Manifest:
    """All images below `folder`, names relative to it, sorted, without labels.

    Known extensions are believed, in any case; of other files, and those without one, the first bytes decide.
    `say` gets a line about files that are no images. Raises DataError for a folder that is absent or has
    none, and for links that lead out of it.
    """
    names, left_out = folder_names(folder, follow_symlinks)
    if left_out:
        say(f"{folder}: {told(left_out)}")
    return Manifest(os.path.abspath(folder), column_of(names))


def folder_names(folder: Path, follow_symlinks: bool = False) -> tuple[list[str], Counter[str]]:
    """The names that `plain_folder` finds, and what it leaves out, by its kind. Raises as it does."""
    _check_folder(folder)
    left_out: Counter[str] = Counter()
    links = Links(folder, follow_symlinks)
    names = sorted(images_below(folder, "", left_out, links))
    links.refuse()
    if not names:
        raise DataError(f"{folder}: no images ({', '.join(FORMATS)}); {_holds(folder)}")
    return names, left_out


def _find_split(
    folder: Path,
    split: _Split,
    targets: Literal["required", "optional"],
    say: Say,
    follow_symlinks: bool,
    lenient: bool = False,
) -> Manifest:
    _check_folder(folder)
    place, links = _label_place(folder), Links(folder, follow_symlinks)
    if place is None:
        return _class_folders(folder, split, say, links)
    for name in _LABEL_FILES[split]:
        if (place / name).is_file():
            repeats = split == "val" or lenient  # twice in training would be twice the weight, unasked
            images = place / f"{split}set"
            links.check_file(place / name)
            return read_labels(
                place / name,
                images,
                targets=targets,
                duplicates=repeats,
                absent=lenient,
                say=say,
                links=links,
            )
    raise DataError(f"{place}: no {' or '.join(_LABEL_FILES[split])}; {_holds(place)}; add the file")


def _label_place(folder: Path) -> Path | None:
    """The folder with label files, of either split: a lone one is a mistake to report, not another layout."""
    names = [name for files in _LABEL_FILES.values() for name in files]
    for place in (folder, folder / "phase1"):
        if any((place / name).is_file() for name in names):
            return place
    return None


def _class_folders(folder: Path, split: _Split, say: Say, links: Links) -> Manifest:
    classes = _classes(folder, split)
    if not classes:
        raise DataError(_not_found(folder, split))
    left_out: Counter[str] = Counter()
    found = sorted(
        (name, label) for place, label in classes for name in images_below(folder, place, left_out, links)
    )
    links.refuse()
    if not found:
        places = " and ".join(place.rstrip("/") for place, _ in classes)
        raise DataError(f"{folder}: no images ({', '.join(FORMATS)}) in {places}; add some")
    if left_out:
        say(f"{folder}: {told(left_out)}")
    labels = np.array([label for _, label in found], np.int64)
    return Manifest(os.path.abspath(folder), column_of([name for name, _ in found]), labels)


def _classes(folder: Path, split: _Split) -> list[tuple[str, int]]:
    """`val/real/`, 0 and so on, for the first folder of the split that has classes."""
    for root in _CLASS_ROOTS[split]:
        names = sorted(_folders(folder / root))
        classes = [(f"{root}/{name}/", _CLASSES[name.lower()]) for name in names if name.lower() in _CLASSES]
        if classes:
            return classes
    return []


def _folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    with listing(folder) as entries:
        return [entry.name for entry in entries if entry.is_dir()]


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}; give the folder that holds the images")


def _not_found(folder: Path, split: _Split) -> str:
    kind = {"train": "training", "val": "validation"}[split]
    files = " or ".join(_LABEL_FILES[split])
    roots = " or ".join(f"{root}/" for root in _CLASS_ROOTS[split])
    return (
        f"{folder}: no {kind} split; looked for {files} with {split}set/ (also in phase1/), "
        f"and for real/ and fake/ in {roots}; {_holds(folder)}"
    )


def _holds(folder: Path) -> str:
    with listing(folder) as entries:
        names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries)
    return f"the folder holds {first_three(names)}" if names else "the folder is empty"


def _summary(rows: Manifest) -> str:
    real, fake = rows.class_counts().values()
    return f"{len(rows)} images ({real} real, {fake} fake)"


def column_of(names: Sequence[str]) -> np.ndarray:
    """Object array of str; by assignment, since np.array would pad all to the longest."""
    column = np.empty(len(names), object)
    column[:] = names
    return column

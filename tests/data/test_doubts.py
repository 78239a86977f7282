import os

import numpy as np
import pytest

from fastffdi.data.doubts import doubts, overlap
from fastffdi.data.layout import Dataset
from fastffdi.data.manifest import Manifest


def rows(root, names, labels=None) -> Manifest:
    return Manifest(str(root), np.array(names, object), None if labels is None else np.array(labels))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to("a")
    return tmp_path


def test_two_splits_of_two_classes_are_beyond_doubt(folder):
    split = rows(folder / "a", ["x", "y"], [0, 1]), rows(folder / "b", ["x", "y"], [0, 1])
    assert doubts(Dataset(*split, "")) == []


def test_a_missing_class_is_said_by_split(folder):
    split = rows(folder / "a", ["x", "y"], [1, 1]), rows(folder / "b", ["x"], [0])
    assert doubts(Dataset(*split, "")) == [
        "warning: no training image is real, so that nothing can be learnt; add some",
        "warning: no validation image is fake, so that the AUC is undefined; add some",
    ]


@pytest.mark.parametrize(
    ("root", "names", "count"),
    [
        ("a", ["x", "z"], 1),
        ("link", ["y", "x", "x"], 3),
        ("", ["a/x", "link/y", "b/x"], 2),
        ("b", ["x", "y"], 0),
        ("absent", ["x"], 0),
    ],
)
def test_files_of_both_splits_are_counted_whatever_the_way_to_them(folder, root, names, count):
    train = rows(folder / "a", ["x", "y"], [0, 1])
    val = rows(os.path.join(folder, root), names, np.arange(len(names)) % 2)
    assert overlap(train, val) == count
    told = [line for line in doubts(Dataset(train, val, "")) if "too" in line]
    assert [line.partition(" are ")[0] for line in told] == [
        f"warning: {count} of {len(names)} validation images"
    ] * bool(count)

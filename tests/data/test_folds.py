"""Folds: every image in one of them, classes in proportion, groups whole."""

import numpy as np
import pytest
from column_data import with_column

from fastffdi.data.folds import Pool
from fastffdi.data.labels import read_labels
from fastffdi.data.layout import find_dataset
from fastffdi.errors import DataError


def pool(labels, groups=None):
    names = np.array([f"{k}.jpg" for k in range(len(labels))], object)
    groups = None if groups is None else np.array(groups, object)
    return Pool("/images", names, names, np.array(labels), groups)


@pytest.fixture
def people(tmp_path):
    """people(train, val): a data set of label files with a column person, and of their images."""

    return lambda train, val: with_column(tmp_path, "person", train, val)


def test_all_images_are_in_it_once_training_first(tiny):
    found = Pool.of(find_dataset(tiny))
    assert found.root == str(tiny)
    assert found.files.tolist() == [
        *(f"trainset/{k:02d}.jpg" for k in range(40)),
        *(f"valset/{k:02d}.jpg" for k in range(16)),
    ]
    assert found.names.tolist() == found.files.tolist()  # 00.jpg is in both
    assert found.labels.tolist() == [k % 2 for k in [*range(40), *range(16)]]
    assert found.groups is None


def test_names_that_are_told_apart_stay_as_they_were_written(people):
    found = Pool.of(people(train=["a.jpg,0,x", "b.jpg,1,y"], val=["c.jpg,1,x", "c.jpg,1,x"]), "person")
    assert found.names.tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert found.files.tolist() == ["trainset/a.jpg", "trainset/b.jpg", "valset/c.jpg"]
    assert found.groups.tolist() == ["x", "y", "x"]


def test_an_image_that_is_both_real_and_fake_is_refused(people):
    data = people(train=["a.jpg,0,x"], val=["c.jpg,1,x", "c.jpg,0,x"])
    with pytest.raises(DataError, match=r"valset/c\.jpg: is real on one line and fake on another"):
        Pool.of(data)


def test_an_image_without_a_group_is_refused(people):
    data = people(train=["a.jpg,0,x", "b.jpg,1,"], val=["c.jpg,1,x"])
    with pytest.raises(DataError, match=r"--group-by person: 1 images have none \(b\.jpg\); add theirs"):
        Pool.of(data, "person")


def test_every_image_is_in_one_fold_and_classes_are_in_proportion():
    labels = [0] * 30 + [1] * 60
    folds = pool(labels).folds(3, seed=5)
    counts = [np.bincount(np.array(labels)[folds == k]).tolist() for k in range(3)]
    assert counts == [[10, 20]] * 3


def test_folds_follow_from_the_seed():
    first, same, other = (pool([0, 1] * 20).folds(4, seed).tolist() for seed in (1, 1, 2))
    assert first == same != other


def test_images_of_a_group_are_in_one_fold():
    groups = [f"person {k // 4}" for k in range(48)]
    folds = pool([k % 2 for k in range(48)], groups).folds(3, seed=0)
    homes = [set(folds[k : k + 4]) for k in range(0, 48, 4)]
    assert all(len(home) == 1 for home in homes)
    assert set.union(*homes) == {0, 1, 2}


def test_a_fold_with_one_class_is_said():
    said = []
    pool([0, 0, 1, 1], ["a", "a", "b", "b"]).folds(2, 0, said.append)
    assert sorted(line.partition(" has ")[2] for line in said) == [
        "fake images only: its AUC is undefined",
        "real images only: its AUC is undefined",
    ]


@pytest.mark.parametrize(
    ("labels", "groups", "line"),
    [
        ([0, 0, 1, 1, 1], None, "--folds 3: there are only 2 real images; give fewer folds"),
        ([0, 1] * 3, ["a", "b"] * 3, "--folds 3: there are only 2 groups; give fewer folds"),
    ],
)
def test_more_folds_than_there_is_for_are_refused(labels, groups, line):
    with pytest.raises(DataError, match=f"^{line}$"):
        pool(labels, groups).folds(3, 0)


def test_a_part_is_written_as_a_label_file(tiny, tmp_path):
    found = Pool.of(find_dataset(tiny))
    found.write(np.arange(56) >= 38, tmp_path / "part.csv")
    rows = read_labels(tmp_path / "part.csv", tiny, targets="required", duplicates=False)
    assert rows.names.tolist() == found.files[38:].tolist()
    assert rows.labels.tolist() == found.labels[38:].tolist()

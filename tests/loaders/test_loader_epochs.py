"""The public Loader's epochs: when each begins, and the order of its images."""

import numpy as np
import pytest
import torch
from public_loaders import FLAT, bits, loader_of

from fastffdi.errors import RunError

pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_iteration_is_the_next_epoch(image_files):
    with loader_of(image_files, shuffle=True) as loader:
        first, second = bits(loader), bits(loader)
        loader.set_epoch(1)
        assert bits(loader) == second != first
        loader.set_epoch(0)
        assert bits(loader) == first


def test_an_iteration_that_was_left_is_followed_by_the_next_epoch(image_files):
    with loader_of(image_files, shuffle=True) as loader:
        bits(loader)
        second = bits(loader)
        loader.set_epoch(0)
        for _ in loader:
            break
        assert bits(loader) == second


def test_an_iteration_of_which_no_batch_is_taken_is_none(image_files):
    with loader_of(image_files, shuffle=True) as loader:
        first = bits(loader)
        loader.set_epoch(0)
        iter(loader)
        assert bits(loader) == first


def test_epochs_are_shuffled_only_where_asked_for(image_files):
    orders = {}
    for shuffle in (True, False):
        with loader_of(image_files, FLAT, shuffle=shuffle) as loader:
            orders[shuffle] = torch.cat([labels for _, labels in loader]).tolist()
    assert orders[False] == image_files.labels.tolist() != orders[True]
    assert sorted(orders[True]) == sorted(orders[False])


def test_the_seed_decides_order_and_augmentation(image_files):
    found = []
    for seed in (3, 3, 4):
        with loader_of(image_files, shuffle=True, seed=seed) as loader:
            found.append(bits(loader))
    assert found[0] == found[1] != found[2]
    with loader_of(image_files, seed=3) as ordered, loader_of(image_files, seed=4) as other:
        assert bits(ordered) != bits(other)


def test_balance_repeats_the_smaller_class(image_files):
    few = image_files.take(np.r_[0:23:2, 1:4:2])  # 12 real, 2 fake
    with loader_of(few, balance=True) as loader:
        labels = torch.cat([labels for _, labels in loader])
    assert torch.bincount(labels).tolist() == [12, 12]


def test_an_older_iteration_is_refused_once_another_has_begun(image_files):
    with loader_of(image_files) as loader:
        older = iter(loader)
        next(older)
        next(iter(loader))
        with pytest.raises(RunError, match=r"^loader: another iteration has begun meanwhile"):
            next(older)


def test_an_epoch_that_begins_while_images_are_scored_is_fit_for_training(image_files):
    with loader_of(image_files, FLAT, batch_size=4, backend="cpu") as loader:
        with torch.inference_mode():
            loader.begin(0)
        batches = list(loader.batches(0))
        assert not any(batch.images.is_inference() for batch in batches)
        assert [batch.epoch for batch in batches] == [0] * len(loader)


def test_another_epoch_than_the_one_begun_can_be_asked_for(image_files):
    with loader_of(image_files, FLAT, batch_size=23, backend="cpu") as loader:
        loader.begin(3)
        assert [batch.epoch for batch in loader.batches(1)] == [1]
        assert [batch.epoch for batch in loader.batches(3)] == [3]

"""The public Loader with mixing: its labels are shares of real and fake."""

import pytest
import torch
from public_loaders import BOTH, FLAT, STEPS, bits, loader_of

from fastffdi.errors import SettingError
from fastffdi.loaders.loader import Loader, soft_labels
from fastffdi.recipe.mix import Mix

pytestmark = pytest.mark.usefixtures("one_thread")


def test_mixed_labels_are_shares_of_real_and_fake(image_files):
    with loader_of(image_files, mix=BOTH) as mixed, loader_of(image_files) as plain:
        images, labels = next(iter(mixed))
        others = next(iter(plain))[0]
    assert labels.shape == (4, 2)
    assert labels.dtype == torch.float32
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(4))
    assert ((labels > 0) & (labels < 1)).any()
    assert not torch.equal(images, others)


def test_a_soft_label_is_the_share_on_its_own_label():
    labels, partners = torch.tensor([0, 1, 1, 0]), torch.tensor([1, 0, 1, 0])
    found = soft_labels(labels, partners, torch.tensor([0.75, 0.25, 0.5, 1.0]))
    assert found.tolist() == [[0.75, 0.25], [0.75, 0.25], [0.0, 1.0], [1.0, 0.0]]


def test_mixing_depends_on_the_seed(image_files):
    found = []
    for seed in (0, 0, 1):
        with loader_of(image_files, FLAT, mix=BOTH, seed=seed) as loader:
            found.append(bits(loader))
    assert found[0] == found[1] != found[2]


def test_the_last_epochs_that_are_not_mixed_still_have_shares(image_files):
    mix = Mix(mixup=1.0, off_epochs=1)
    with loader_of(image_files, mix=mix, epochs=2) as loader:
        first, last = [next(iter(loader))[1] for _ in range(2)]
    assert ((first > 0) & (first < 1)).any()
    assert last.tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]


def test_mixing_that_ends_needs_the_number_of_epochs(image_files):
    with pytest.raises(SettingError, match=r"^mix: off_epochs 1 leaves out the last epochs; say of how many"):
        Loader(image_files, STEPS, mix=Mix(mixup=1.0, off_epochs=1), device="cpu")

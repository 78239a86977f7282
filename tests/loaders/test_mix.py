"""Against torchvision, which mixes with the image before where ours takes the next: hence the flips."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fake_cuda import fake_cuda
from scipy.stats import beta, kstest
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms import v2

from fastffdi.loaders.batch import Batch
from fastffdi.loaders.mix import Mixer, _beta, pair
from fastffdi.recipe.mix import Mix
from fastffdi.recipe.program import EMPTY
from fastffdi.recipe.rng import MIX_STREAM, CounterRNG

HEIGHT, WIDTH = 12, 20
MIXUP, CUTMIX, BOTH = Mix(mixup=0.4), Mix(cutmix=1.0), Mix(mixup=0.4, cutmix=1.0)
KINDS = pytest.mark.parametrize("mix", [MIXUP, CUTMIX, BOTH], ids=["mixup", "cutmix", "both"])


def batch_of(n, epoch=0, valid=None, first=0, views=1):
    """A batch of n rows; its own images are of no account here."""
    rows = np.arange(first, first + n)
    valid = np.ones(n, bool) if valid is None else np.array(valid, bool)
    images = torch.zeros(n, 1, 1, 3, dtype=torch.uint8)
    return Batch(images, rows % 2, rows, np.zeros(n, np.int64), valid, epoch, EMPTY, views)


def images_of(n):
    return torch.rand(n, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(n))


def mixed(mix, batch, images=None, seed=3):
    images = images_of(len(batch)) if images is None else images
    return Mixer(mix, CounterRNG(seed))(images, torch.from_numpy(batch.labels), batch)


def pairing(mix, batch, seed=3, size=(HEIGHT, WIDTH)):
    return pair(mix, CounterRNG(seed), batch, *size)


def soft_labels(labels, partners, share):
    return share[:, None] * F.one_hot(labels, 2) + (1 - share[:, None]) * F.one_hot(partners, 2)


def as_torchvision(transform, images, labels, **parameters):
    """Image and soft label of every row, as torchvision mixes a batch in reverse order."""
    labels = labels.flip(0)
    parameters |= {"labels": labels, "batch_size": len(images)}
    out = transform.transform(images.flip(0), parameters).flip(0)
    return out, transform.transform(labels, parameters).flip(0)


def test_mixup_is_torchvisions_for_the_same_shares():
    batch, images = batch_of(9), images_of(9)
    ours, partners, share = mixed(MIXUP, batch)
    labels = torch.from_numpy(batch.labels)
    for k, weight in enumerate(pairing(MIXUP, batch).blend):
        theirs, soft = as_torchvision(v2.MixUp(num_classes=2), images, labels, lam=weight)
        torch.testing.assert_close(ours[k], theirs[k])
        torch.testing.assert_close(soft_labels(labels, partners, share)[k], soft[k])


def test_cutmix_is_torchvisions_for_the_same_boxes():
    batch, images = batch_of(9), images_of(9)
    ours, partners, share = mixed(CUTMIX, batch)
    labels = torch.from_numpy(batch.labels)
    for k, (top, left, bottom, right) in enumerate(pairing(CUTMIX, batch).box.astype(int).tolist()):
        kept = 1 - (bottom - top) * (right - left) / (HEIGHT * WIDTH)
        box = {"box": (left, top, right, bottom), "lam_adjusted": kept}
        theirs, soft = as_torchvision(v2.CutMix(num_classes=2), images, labels, **box)
        assert torch.equal(ours[k], theirs[k])
        torch.testing.assert_close(soft_labels(labels, partners, share)[k], soft[k])


def torchvisions_box(monkeypatch, share, centre):
    """torchvision's (left, top, right, bottom) and share for its own draws of share and centre."""
    transform, centres = v2.CutMix(num_classes=2), iter((centre[1], centre[0]))
    monkeypatch.setattr(transform, "_dist", type("Fixed", (), {"sample": lambda self, shape: share})())
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor([int(next(centres))]))
    parameters = transform.make_params([torch.zeros(1, 3, HEIGHT, WIDTH)])
    monkeypatch.undo()
    return parameters["box"], parameters["lam_adjusted"]


def test_boxes_are_drawn_as_torchvisions(monkeypatch):
    batch = batch_of(64)
    # Beta(1, 1) is uniform, so that the random number is the share itself.
    u = CounterRNG(3).uniform(0, batch.rows, batch.repeats, MIX_STREAM, 5)
    found = pairing(CUTMIX, batch)
    for k, (top, left, bottom, right) in enumerate(found.box.astype(int).tolist()):
        centre = np.floor(u[k, 3:] * (HEIGHT, WIDTH))
        box, share = torchvisions_box(monkeypatch, u[k, 2], centre)
        assert box == (left, top, right, bottom)
        assert share == pytest.approx(found.share[k], abs=1e-12)


def of_batch(mix):
    return dataclasses.replace(mix, per="batch")


@KINDS
def test_one_for_the_batch_is_the_first_images_own(mix):
    own, shared = pairing(mix, batch_of(9, first=40)), pairing(of_batch(mix), batch_of(9, first=40))
    assert (shared.box == own.box[:1]).all()
    assert (shared.blend == own.blend[:1]).all()
    assert (shared.share == own.share[:1]).all()
    assert shared.partner.tolist() == own.partner.tolist()


def test_a_batch_with_one_mixup_is_torchvisions_as_a_whole():
    batch, images = batch_of(9), images_of(9)
    mix = of_batch(MIXUP)
    ours, partners, share = mixed(mix, batch)
    weight = pairing(mix, batch).blend[0]
    theirs, soft = as_torchvision(v2.MixUp(num_classes=2), images, torch.from_numpy(batch.labels), lam=weight)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(soft_labels(torch.from_numpy(batch.labels), partners, share), soft)


def test_a_batch_with_one_cutmix_is_torchvisions_as_a_whole():
    batch, images = batch_of(9), images_of(9)
    mix = of_batch(CUTMIX)
    ours, partners, share = mixed(mix, batch)
    top, left, bottom, right = pairing(mix, batch).box[0].astype(int).tolist()
    kept = 1 - (bottom - top) * (right - left) / (HEIGHT * WIDTH)
    box = {"box": (left, top, right, bottom), "lam_adjusted": kept}
    theirs, soft = as_torchvision(v2.CutMix(num_classes=2), images, torch.from_numpy(batch.labels), **box)
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(soft_labels(torch.from_numpy(batch.labels), partners, share), soft)


def test_batches_of_one_kind_each_are_of_both_kinds_together():
    found = [pairing(of_batch(BOTH), batch_of(4, first=4 * k)) for k in range(40)]
    assert {bool((pairs.blend < 1).all()) for pairs in found} == {True, False}


# Several views of each image.


def test_a_view_is_mixed_with_the_same_view_of_the_next_valid_image():
    found = pairing(BOTH, batch_of(4, valid=[1, 0, 1, 1], views=2))
    assert found.partner.tolist() == [4, 5, 2, 3, 6, 7, 0, 1]


def test_views_are_mixed_each_in_its_own_way():
    found = pairing(MIXUP, batch_of(8, views=3))
    assert len(np.unique(found.blend)) == 24
    assert np.array_equal(found.blend[::3], pairing(MIXUP, batch_of(8)).blend)


def test_views_of_a_placeholder_are_left_as_they_are():
    found = pairing(MIXUP, batch_of(3, valid=[1, 0, 1], views=2))
    assert (found.blend < 1).tolist() == [True, True, False, False, True, True]


def test_mixed_views_have_the_labels_of_their_images():
    batch, images = batch_of(3, views=2), images_of(6)
    labels = torch.tensor([0, 0, 1, 1, 0, 0])
    out, partners, share = Mixer(MIXUP, CounterRNG(3))(images, labels, batch)
    assert partners.tolist() == [1, 1, 0, 0, 0, 0]
    weight = share[:, None, None, None]
    torch.testing.assert_close(out, weight * images + (1 - weight) * images[[2, 3, 4, 5, 0, 1]])


# The last epochs.


@KINDS
def test_from_a_given_epoch_on_nothing_is_mixed(mix):
    mixer, labels = Mixer(mix, CounterRNG(0), until=3), torch.tensor([0, 1] * 4)
    images, partners, share = mixer(images_of(8), labels, batch_of(8, epoch=3))
    assert torch.equal(images, images_of(8))
    assert torch.equal(partners, labels)
    assert (share == 1).all()
    before, _, _ = mixer(images_of(8), labels, batch_of(8, epoch=2))
    assert not torch.equal(before, images_of(8))


@KINDS
def test_every_images_label_mass_is_one(mix):
    batch = batch_of(50)
    _, partners, share = mixed(mix, batch)
    soft = soft_labels(torch.from_numpy(batch.labels), partners, share)
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(50))
    assert soft.min() >= 0


@pytest.mark.parametrize(
    ("alpha", "tolerance"), [(0.05, 1e-5), (0.2, 1e-6), (1.0, 1e-12), (2.0, 1e-5), (10.0, 5e-4)]
)
def test_the_table_gives_betas_quantiles(alpha: float, tolerance: float) -> None:
    u = np.concatenate([[0, 1], np.random.default_rng(1).random(20_000)])
    assert np.abs(_beta(alpha, u) - beta.ppf(u, alpha, alpha)).max() < tolerance


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_mixups_share_is_beta_distributed(alpha):
    share = pairing(Mix(mixup=alpha), batch_of(20_000)).share
    assert kstest(share, "beta", args=(alpha, alpha)).pvalue > 0.01


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_cutmixs_share_before_the_edges_cut_is_beta_distributed(alpha):
    batch, side = batch_of(20_000), 10**12
    top, _, bottom, _ = pairing(Mix(cutmix=alpha), batch, size=(side, side)).box.T
    centre = np.floor(CounterRNG(3).uniform(0, batch.rows, batch.repeats, MIX_STREAM, 5)[:, 3] * side)
    reach = np.maximum(bottom - centre, centre - top)  # of two edges at most one cuts the box
    assert kstest(1 - (2 * reach / side) ** 2, "beta", args=(alpha, alpha)).pvalue > 0.01


def test_cutmixs_share_is_what_the_pasted_pixels_leave():
    images = torch.arange(40.0)[:, None, None, None].expand(40, 3, HEIGHT, WIDTH)
    ours, _, share = mixed(CUTMIX, batch_of(40), images)
    own = (ours[:, 0] == images[:, 0]).float().mean(dim=(1, 2))
    torch.testing.assert_close(share, own)
    assert 0.2 < own.mean() < 0.9


def test_p_is_how_often_an_image_is_mixed():
    found = pairing(Mix(mixup=1.0, p=0.3), batch_of(20_000))
    assert (found.blend < 1).mean() == pytest.approx(0.3, abs=0.01)


def test_switch_is_how_often_cutmix_is_taken():
    found = pairing(Mix(mixup=1.0, cutmix=1.0, p=0.5, switch=0.25), batch_of(20_000), size=(10**6, 10**6))
    blended, pasted = found.blend < 1, (found.box != 0).any(axis=1)
    assert not (blended & pasted).any()
    assert blended.mean() == pytest.approx(0.375, abs=0.01)
    assert pasted.mean() == pytest.approx(0.125, abs=0.01)


def test_one_kind_alone_needs_no_switch():
    assert not pairing(Mix(mixup=0.4, switch=1.0), batch_of(50)).box.any()
    assert (pairing(Mix(cutmix=1.0, switch=0.0), batch_of(50)).blend == 1).all()


@pytest.mark.parametrize("mix", [Mix(), Mix(mixup=1.0, cutmix=1.0, p=0.0)])
def test_without_either_nothing_is_mixed(mix):
    images, _, share = mixed(mix, batch_of(8))
    assert torch.equal(images, images_of(8))
    assert (share == 1).all()


def test_the_partner_is_the_next_valid_image():
    found = pairing(BOTH, batch_of(7, valid=[0, 1, 1, 0, 1, 0, 1]))
    assert found.partner.tolist() == [0, 2, 4, 3, 6, 5, 1]


@KINDS
def test_invalid_images_are_left_as_they_are(mix):
    valid = np.array([1, 0, 1, 1, 0, 1, 1, 1], bool)
    images, _, share = mixed(mix, batch_of(8, valid=valid))
    assert torch.equal(images[~valid], images_of(8)[~valid])
    assert (share[~valid] == 1).all()
    assert not torch.equal(images[valid], images_of(8)[valid])


@KINDS
def test_invalid_images_reach_no_other(mix):
    valid = np.array([1, 0, 1, 1, 0, 1, 1, 1], bool)
    spoilt = images_of(8)
    spoilt[~valid] = 1e6
    images, _, _ = mixed(mix, batch_of(8, valid=valid), spoilt)
    assert images[valid].max() <= 1


@KINDS
def test_no_valid_image_is_no_mistake(mix):
    images, _, share = mixed(mix, batch_of(3, valid=[0, 0, 0]))
    assert torch.equal(images, images_of(3))
    assert (share == 1).all()


@KINDS
def test_an_image_alone_stays_itself(mix):
    for first in range(5):
        batch = batch_of(1, first=first)
        images, partners, _ = mixed(mix, batch)
        assert torch.equal(images, images_of(1))
        assert partners.tolist() == batch.labels.tolist()


@KINDS
def test_the_same_batch_is_mixed_the_same_way(mix):
    once, again = mixed(mix, batch_of(8)), mixed(mix, batch_of(8))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


@KINDS
def test_numbers_belong_to_the_row_and_not_to_its_place(mix):
    whole, tail = pairing(mix, batch_of(8)), pairing(mix, batch_of(3, first=5))
    assert np.array_equal(whole.blend[5:], tail.blend)
    assert np.array_equal(whole.box[5:], tail.box)


@pytest.mark.parametrize("other", [{"seed": 4}, {"batch": batch_of(8, epoch=1)}], ids=["seed", "epoch"])
def test_another_seed_or_epoch_mixes_otherwise(other):
    assert not np.array_equal(
        pairing(MIXUP, **{"batch": batch_of(8)} | other).blend, pairing(MIXUP, batch_of(8)).blend
    )


@KINDS
def test_what_is_given_is_not_changed(mix):
    batch, images = batch_of(8), images_of(8)
    labels = torch.from_numpy(batch.labels)
    Mixer(mix, CounterRNG(0))(images, labels, batch)
    assert torch.equal(images, images_of(8))
    assert labels.tolist() == [0, 1] * 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtype_and_memory_format_are_kept(dtype):
    images = images_of(8).to(dtype).contiguous(memory_format=torch.channels_last)
    out, _, _ = mixed(BOTH, batch_of(8), images)
    assert out.dtype == dtype
    assert out.is_contiguous(memory_format=torch.channels_last)


class Operations(TorchDispatchMode):
    """Notes the names of the torch operations that run inside it."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


def operations(n):
    batch, images = batch_of(n), images_of(n)
    labels = torch.from_numpy(batch.labels)
    with Operations() as seen:
        Mixer(BOTH, CounterRNG(0))(images, labels, batch)
    return seen.names


def test_there_are_as_many_operations_for_one_image_as_for_many():
    assert operations(64) == operations(1)
    assert len(operations(64)) < 50


@KINDS
@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_on_cuda_nothing_makes_the_host_wait(mix, views, dtype):
    batch, shape = batch_of(8, valid=[1, 0] * 4, views=views), (8 * views, 3, HEIGHT, WIDTH)
    with fake_cuda() as device:
        images = torch.empty(shape, dtype=dtype, device=device, memory_format=torch.channels_last)
        labels = torch.zeros(len(images), dtype=torch.int64, device=device)
        mixed, partners, share = Mixer(mix, CounterRNG(0))(images, labels, batch)
        assert (mixed.device, mixed.dtype, mixed.shape) == (device, dtype, shape)
        assert mixed.is_contiguous(memory_format=torch.channels_last)
        assert (partners.device, partners.dtype, partners.shape) == (device, torch.int64, labels.shape)
        assert (share.device, share.dtype, share.shape) == (device, torch.float32, labels.shape)


def test_on_cuda_the_epochs_that_are_not_mixed_wait_for_nothing_either():
    with fake_cuda() as device:
        images = torch.empty(8, 3, HEIGHT, WIDTH, device=device)
        labels = torch.zeros(8, dtype=torch.int64, device=device)
        out, partners, share = Mixer(BOTH, CounterRNG(0), until=3)(images, labels, batch_of(8, epoch=3))
        assert out is images
        assert partners is labels
        assert (share.device, share.dtype, share.shape) == (device, torch.float32, (8,))

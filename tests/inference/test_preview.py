"""A preview shows what training sees; the loader, the stage and the mixer say here what that is."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch

from fastffdi.data.manifest import Manifest
from fastffdi.errors import DataError, UndecodablePicture
from fastffdi.inference.given import Pictures, draw, mixed
from fastffdi.inference.preview import Preview
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.feed import Feed
from fastffdi.recipe.mix import Mix
from fastffdi.recipe.plan import Plan
from fastffdi.recipe.read import read_steps
from fastffdi.recipe.steps.base import Step
from fastffdi.render.device.stage import DeviceStage
from fastffdi.training.mix import Mixer

SEED, EPOCH = 5, 2
STEPS = read_steps(
    [
        {"random_resized_crop": {"size": [40, 48]}},
        "horizontal_flip",
        {"color_jitter": {"brightness": 0.4, "hue": 0.2}},
        {"normalize": {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.2, 0.3]}},
    ],
    "test",
)


def training_batch(manifest: Manifest, steps: tuple[Step, ...], size: int, epoch: int = EPOCH) -> Batch:
    """The first batch that training renders, with the whole batch's pictures."""
    with closing(CpuLoader(Feed.over(manifest, steps, size, 1, SEED, shuffle=True), 1)) as loader:
        return next(iter(loader.epoch(epoch)))


def first(manifest: Manifest, count: int) -> Pictures:
    return Pictures.first(manifest, SEED, EPOCH, count)


def test_draws_are_the_pictures_of_the_loader(pictures: Manifest):
    known = first(pictures, 6)
    for epoch in (EPOCH, EPOCH + 1):
        drawn = draw(known, STEPS, Plan(SEED), epoch)
        with closing(CpuLoader(Feed.over(pictures, STEPS, 23, 1, SEED, shuffle=True), 1)) as loader:
            (batch,) = loader.epoch(epoch)
        place = {row: k for k, row in enumerate(batch.rows)}
        for row, (image,) in zip(known.rows, drawn, strict=True):
            np.testing.assert_array_equal(image, batch.images[place[row]])


def test_the_first_pictures_are_those_that_training_comes_to(pictures: Manifest):
    known, batch = first(pictures, 6), training_batch(pictures, STEPS, 6)
    np.testing.assert_array_equal(known.rows, batch.rows)
    np.testing.assert_array_equal(known.labels, batch.labels)
    assert known.names == pictures.names[batch.rows].tolist()
    assert known.images[0].shape[:2] == tuple(pictures.sizes[batch.rows[0]])


@pytest.mark.parametrize(
    "mix", [Mix(mixup=1.0), Mix(cutmix=1.0), Mix(0.4, 1.0, p=0.5), Mix(0.4, 1.0, per="batch")]
)
def test_mixed_pictures_and_labels_are_those_of_training(pictures: Manifest, mix: Mix):
    batch, mixer = training_batch(pictures, STEPS, 16), Mixer(mix, Plan(SEED))
    images = DeviceStage(torch.device("cpu"), torch.float32)(batch.images, batch.program, batch.done)
    theirs, partners, share = mixer(images, torch.from_numpy(batch.labels), batch)
    known = first(pictures, 5)
    ours = mixed(known, STEPS, Plan(SEED), EPOCH, mixer)[:4]
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.25, 0.2, 0.3])
    levels = (theirs.permute(0, 2, 3, 1) * std + mean) * 255
    for k, one in enumerate(ours):
        np.testing.assert_allclose(one.image, levels[k], atol=0.501)
        assert known.labels[one.partner] == partners[k]
        assert one.share == float(share[k])


def test_a_batch_smaller_than_the_preview_mixes_the_last_with_the_first(pictures: Manifest):
    few = pictures.take(slice(0, 3))
    known = first(few, 7)
    assert [one.partner for one in mixed(known, STEPS, Plan(SEED), EPOCH, Mixer(Mix(1.0), Plan(SEED)))] == [
        1,
        2,
        0,
    ]


def test_the_last_of_the_steps_is_what_the_model_is_given(pictures: Manifest):
    view = Preview(pictures, STEPS, SEED, EPOCH, 3)
    steps, epochs = view.by_step(), view.by_epoch(2)
    assert steps.columns == ["file", "1 · random_resized_crop", "2 · horizontal_flip", "3 · color_jitter"]
    assert epochs.columns == ["file", "epoch 3", "epoch 4"]
    for a, b in zip(steps.rows, epochs.rows, strict=True):
        assert (a.title, a.note) == (b.title, b.note)
        np.testing.assert_array_equal(a.cells[0].image, b.cells[0].image)
        np.testing.assert_array_equal(a.cells[-1].image, b.cells[1].image)
        assert not np.array_equal(a.cells[-1].image, b.cells[2].image)


def test_rows_have_the_name_and_class_of_the_file(pictures: Manifest):
    table = Preview(pictures, STEPS, SEED, EPOCH, 4).by_epoch(1)
    known = first(pictures, 4)
    assert [row.title for row in table.rows] == known.names
    assert [row.note for row in table.rows] == [("real", "fake")[label] for label in known.labels]
    unknown = Preview(replace(pictures, labels=None), STEPS, SEED, EPOCH, 4).by_epoch(1)
    assert {row.note for row in unknown.rows} == {""}


def test_pairs_are_captioned_with_soft_labels(pictures: Manifest):
    known = first(pictures, 7)
    table = Preview(pictures, STEPS, SEED, EPOCH, 6).mixed(Mixer(Mix(mixup=1.0), Plan(SEED)))
    own, others, results = table.rows
    pairs = mixed(known, STEPS, Plan(SEED), EPOCH, Mixer(Mix(mixup=1.0), Plan(SEED)))
    for k in range(6):
        a, b, share = own.cells[k].caption, others.cells[k].caption, pairs[k].share
        soft = a if a == b else f"{share:.2f} {a} + {1 - share:.2f} {b}"
        assert results.cells[k].caption == soft
        np.testing.assert_array_equal(others.cells[k].image, draw(known, STEPS, Plan(SEED), EPOCH)[k + 1][0])
    assert "+" in "".join(cell.caption for cell in results.cells)


def test_views_stand_side_by_side(pictures: Manifest):
    entries = {"resize": {"size": [40, 48]}}, {"five_crop": {"size": 32}}
    steps = read_steps([*entries, {"normalize": {"mean": [0, 0, 0], "std": [1, 1, 1]}}], "test")
    table = Preview(pictures, steps, SEED, EPOCH, 2).by_epoch(1)
    assert table.columns == ["file", *(f"epoch 3, view {k}" for k in range(1, 6))]
    ((whole,), _) = draw(first(pictures, 2), steps[:1], Plan(SEED), EPOCH)
    np.testing.assert_array_equal(table.rows[0].cells[1].image, whole[:32, :32])
    np.testing.assert_array_equal(table.rows[0].cells[4].image, whole[-32:, -32:])


def test_a_picture_too_small_is_named_with_the_step(pictures: Manifest):
    steps = read_steps([{"random_crop": {"size": 500}}], "test")
    known = first(pictures, 2)
    with pytest.raises(DataError, match=rf"{known.names[0]}: random_crop: 500×500 does not fit"):
        draw(known, steps, Plan(SEED), EPOCH)


def test_an_undecodable_picture_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    with pytest.raises(UndecodablePicture, match=r"a\.jpg"):
        Pictures.first(Manifest(str(tmp_path), np.array(["a.jpg"], object)), 0, 0, 1)

"""A preview shows what training sees; the loader, the stage and the mixer say here what that is."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch

from fastffdi.data.manifest import Manifest
from fastffdi.errors import DataError, UndecodableImage
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.preview.draw import Images, draw, mixed
from fastffdi.preview.tables import Preview
from fastffdi.recipe.mix import Mix
from fastffdi.recipe.read import read_steps
from fastffdi.recipe.rng import CounterRNG
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
    """The first batch that training renders, with the whole batch's images."""
    with closing(CpuLoader(BatchPlanner.over(manifest, steps, size, 1, SEED, shuffle=True), 1)) as loader:
        return next(iter(loader.epoch(epoch)))


def first(manifest: Manifest, count: int) -> Images:
    return Images.first(manifest, SEED, EPOCH, count)


def test_draws_are_the_images_of_the_loader(image_files: Manifest):
    known = first(image_files, 6)
    for epoch in (EPOCH, EPOCH + 1):
        drawn = draw(known, STEPS, CounterRNG(SEED), epoch)
        with closing(
            CpuLoader(BatchPlanner.over(image_files, STEPS, 23, 1, SEED, shuffle=True), 1)
        ) as loader:
            (batch,) = loader.epoch(epoch)
        place = {row: k for k, row in enumerate(batch.rows)}
        for row, (image,) in zip(known.rows, drawn, strict=True):
            np.testing.assert_array_equal(image, batch.images[place[row]])


def test_the_first_images_are_those_that_training_comes_to(image_files: Manifest):
    known, batch = first(image_files, 6), training_batch(image_files, STEPS, 6)
    np.testing.assert_array_equal(known.rows, batch.rows)
    np.testing.assert_array_equal(known.labels, batch.labels)
    assert known.names == image_files.names[batch.rows].tolist()
    assert known.images[0].shape[:2] == tuple(image_files.sizes[batch.rows[0]])


@pytest.mark.parametrize(
    "mix", [Mix(mixup=1.0), Mix(cutmix=1.0), Mix(0.4, 1.0, p=0.5), Mix(0.4, 1.0, per="batch")]
)
def test_mixed_images_and_labels_are_those_of_training(image_files: Manifest, mix: Mix):
    batch, mixer = training_batch(image_files, STEPS, 16), Mixer(mix, CounterRNG(SEED))
    images = DeviceStage(torch.device("cpu"), torch.float32)(batch.images, batch.program, batch.done)
    theirs, partners, share = mixer(images, torch.from_numpy(batch.labels), batch)
    known = first(image_files, 5)
    ours = mixed(known, STEPS, CounterRNG(SEED), EPOCH, mixer)[:4]
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.25, 0.2, 0.3])
    levels = (theirs.permute(0, 2, 3, 1) * std + mean) * 255
    for k, one in enumerate(ours):
        np.testing.assert_allclose(one.image, levels[k], atol=0.501)
        assert known.labels[one.partner] == partners[k]
        assert one.share == float(share[k])


def test_a_batch_smaller_than_the_preview_mixes_the_last_with_the_first(image_files: Manifest):
    few = image_files.take(slice(0, 3))
    known = first(few, 7)
    assert [
        one.partner for one in mixed(known, STEPS, CounterRNG(SEED), EPOCH, Mixer(Mix(1.0), CounterRNG(SEED)))
    ] == [
        1,
        2,
        0,
    ]


def test_the_last_of_the_steps_is_what_the_model_is_given(image_files: Manifest):
    view = Preview(image_files, STEPS, SEED, EPOCH, 3)
    steps, epochs = view.by_step(), view.by_epoch(2)
    assert steps.columns == ["file", "1 · random_resized_crop", "2 · horizontal_flip", "3 · color_jitter"]
    assert epochs.columns == ["file", "epoch 3", "epoch 4"]
    for a, b in zip(steps.rows, epochs.rows, strict=True):
        assert (a.title, a.note) == (b.title, b.note)
        np.testing.assert_array_equal(a.cells[0].image, b.cells[0].image)
        np.testing.assert_array_equal(a.cells[-1].image, b.cells[1].image)
        assert not np.array_equal(a.cells[-1].image, b.cells[2].image)


def test_rows_have_the_name_and_class_of_the_file(image_files: Manifest):
    table = Preview(image_files, STEPS, SEED, EPOCH, 4).by_epoch(1)
    known = first(image_files, 4)
    assert [row.title for row in table.rows] == known.names
    assert [row.note for row in table.rows] == [("real", "fake")[label] for label in known.labels]
    unknown = Preview(replace(image_files, labels=None), STEPS, SEED, EPOCH, 4).by_epoch(1)
    assert {row.note for row in unknown.rows} == {""}


def test_pairs_are_captioned_with_soft_labels(image_files: Manifest):
    known = first(image_files, 7)
    table = Preview(image_files, STEPS, SEED, EPOCH, 6).mixed(Mixer(Mix(mixup=1.0), CounterRNG(SEED)))
    own, others, results = table.rows
    pairs = mixed(known, STEPS, CounterRNG(SEED), EPOCH, Mixer(Mix(mixup=1.0), CounterRNG(SEED)))
    for k in range(6):
        a, b, share = own.cells[k].caption, others.cells[k].caption, pairs[k].share
        soft = a if a == b else f"{share:.2f} {a} + {1 - share:.2f} {b}"
        assert results.cells[k].caption == soft
        np.testing.assert_array_equal(
            others.cells[k].image, draw(known, STEPS, CounterRNG(SEED), EPOCH)[k + 1][0]
        )
    assert "+" in "".join(cell.caption for cell in results.cells)


def test_views_stand_side_by_side(image_files: Manifest):
    entries = {"resize": {"size": [40, 48]}}, {"five_crop": {"size": 32}}
    steps = read_steps([*entries, {"normalize": {"mean": [0, 0, 0], "std": [1, 1, 1]}}], "test")
    table = Preview(image_files, steps, SEED, EPOCH, 2).by_epoch(1)
    assert table.columns == ["file", *(f"epoch 3, view {k}" for k in range(1, 6))]
    ((whole,), _) = draw(first(image_files, 2), steps[:1], CounterRNG(SEED), EPOCH)
    np.testing.assert_array_equal(table.rows[0].cells[1].image, whole[:32, :32])
    np.testing.assert_array_equal(table.rows[0].cells[4].image, whole[-32:, -32:])


def test_a_image_too_small_is_named_with_the_step(image_files: Manifest):
    steps = read_steps([{"random_crop": {"size": 500}}], "test")
    known = first(image_files, 2)
    with pytest.raises(DataError, match=rf"{known.names[0]}: random_crop: 500×500 does not fit"):
        draw(known, steps, CounterRNG(SEED), EPOCH)


def test_an_undecodable_image_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    with pytest.raises(UndecodableImage, match=r"a\.jpg"):
        Images.first(Manifest(str(tmp_path), np.array(["a.jpg"], object)), 0, 0, 1)

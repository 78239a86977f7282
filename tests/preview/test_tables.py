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
from fastffdi.loaders.mix import Mixer
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.preview.draw import draw, first, mix
from fastffdi.preview.tables import Preview
from fastffdi.recipe.mix import Mix
from fastffdi.recipe.read import read_steps
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps.base import Step
from fastffdi.render.device.stage import DeviceStage

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


def planner_of(manifest: Manifest, steps: tuple[Step, ...] = STEPS, size: int = 23, **how) -> BatchPlanner:
    return BatchPlanner.over(manifest, steps, LoaderSettings(1, size), seed=SEED, shuffle=True, **how)


def training_batch(planner: BatchPlanner, epoch: int = EPOCH) -> Batch:
    """The first batch that training renders, with the whole batch's images."""
    with closing(CpuLoader(planner, LoaderSettings(1))) as loader:
        return next(iter(loader.epoch(epoch)))


def test_draws_are_the_images_of_the_loader(image_files: Manifest):
    planner = planner_of(image_files)
    shown = first(planner, EPOCH, 6)
    for epoch in (EPOCH, EPOCH + 1):
        batch = training_batch(planner, epoch)
        place = {row: k for k, row in enumerate(batch.rows)}
        for row, (image,) in zip(shown.sampler.rows, draw(shown, epoch), strict=True):
            np.testing.assert_array_equal(image, batch.images[place[row]])


def test_the_first_images_are_those_that_training_comes_to(image_files: Manifest):
    shown, batch = first(planner_of(image_files), EPOCH, 6), training_batch(planner_of(image_files, size=6))
    for epoch in (0, EPOCH):
        rows, repeats = shown.sampler.epoch(epoch)
        np.testing.assert_array_equal(rows, batch.rows)
        np.testing.assert_array_equal(repeats, batch.repeats)
    assert (len(shown.sampler), len(shown), shown.batch_size) == (6, 1, 6)


def test_balanced_classes_show_the_repeats_of_training(image_files: Manifest):
    labels = np.where(np.arange(23) == 4, 0, 1)
    planner = planner_of(replace(image_files, labels=labels), size=44, balance=True)
    shown, batch = first(planner, EPOCH, 20), training_batch(planner)
    assert (shown.sampler.rows == 4).sum() > 3
    np.testing.assert_array_equal(shown.sampler.rows, batch.rows[:20])
    np.testing.assert_array_equal(shown.sampler.repeats, batch.repeats[:20])
    for (image,), theirs in zip(draw(shown, EPOCH), batch.images[:20], strict=True):
        np.testing.assert_array_equal(image, theirs)


@pytest.mark.parametrize(
    "block", [Mix(mixup=1.0), Mix(cutmix=1.0), Mix(0.4, 1.0, p=0.5), Mix(0.4, 1.0, per="batch")]
)
def test_mixed_images_and_labels_are_those_of_training(image_files: Manifest, block: Mix):
    batch, mixer = training_batch(planner_of(image_files, size=16)), Mixer(block, CounterRNG(SEED))
    images = DeviceStage(torch.device("cpu"), torch.float32)(batch)
    theirs, partners, share = mixer(images, torch.from_numpy(batch.labels), batch)
    ours = mix(first(planner_of(image_files), EPOCH, 5), EPOCH, mixer)[:4]
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.25, 0.2, 0.3])
    pixel_values = (theirs.permute(0, 2, 3, 1) * std + mean) * 255
    for k, one in enumerate(ours):
        np.testing.assert_allclose(one.image, pixel_values[k], atol=0.501)
        assert batch.labels[one.partner] == partners[k]
        assert one.share == float(share[k])


def test_a_batch_smaller_than_the_preview_mixes_the_last_with_the_first(image_files: Manifest):
    few = first(planner_of(image_files.take(slice(0, 3))), EPOCH, 7)
    pairs = mix(few, EPOCH, Mixer(Mix(1.0), CounterRNG(SEED)))
    assert [one.partner for one in pairs] == [1, 2, 0]


def test_the_last_of_the_steps_is_what_the_model_is_given(image_files: Manifest):
    view = Preview(planner_of(image_files), EPOCH, 3)
    steps, epochs = view.by_step(), view.by_epoch(2)
    assert steps.columns == ["file", "1 · random_resized_crop", "2 · horizontal_flip", "3 · color_jitter"]
    assert epochs.columns == ["file", "epoch 3", "epoch 4"]
    batch = training_batch(planner_of(image_files))
    for k, (a, b) in enumerate(zip(steps.rows, epochs.rows, strict=True)):
        assert (a.title, a.note) == (b.title, b.note)
        np.testing.assert_array_equal(a.cells[0].image, b.cells[0].image)
        np.testing.assert_array_equal(a.cells[-1].image, b.cells[1].image)
        np.testing.assert_array_equal(a.cells[-1].image, batch.images[k])
        assert not np.array_equal(a.cells[-1].image, b.cells[2].image)


def test_steps_before_all_images_have_one_size_are_shown_too(image_files: Manifest):
    steps = read_steps(
        [{"pad": {"padding": 3}}, {"resize": {"size": 30}}, {"center_crop": {"size": 24}}], "x"
    )
    table = Preview(planner_of(image_files, (*steps, STEPS[-1])), EPOCH, 2).by_step()
    for row in table.rows:
        file, padded, resized, cropped = (cell.image.shape[:2] for cell in row.cells)
        assert padded == (file[0] + 6, file[1] + 6)
        assert (min(resized), cropped) == (30, (24, 24))


def test_rows_have_the_name_and_class_of_the_file(image_files: Manifest):
    table = Preview(planner_of(image_files), EPOCH, 4).by_epoch(1)
    rows = training_batch(planner_of(image_files)).rows[:4]
    assert [row.title for row in table.rows] == image_files.names[rows].tolist()
    assert [row.note for row in table.rows] == [("real", "fake")[label] for label in image_files.labels[rows]]
    assert [row.cells[0].image.shape[:2] for row in table.rows] == [*map(tuple, image_files.sizes[rows])]
    unknown = Preview(planner_of(replace(image_files, labels=None)), EPOCH, 4).by_epoch(1)
    assert {row.note for row in unknown.rows} == {""}


def test_pairs_are_captioned_with_soft_labels(image_files: Manifest):
    batch, mixer = first(planner_of(image_files), EPOCH, 7), Mixer(Mix(mixup=1.0), CounterRNG(SEED))
    own, others, results = Preview(planner_of(image_files), EPOCH, 6).mixed(mixer).rows
    pairs, drawn = mix(batch, EPOCH, mixer), draw(batch, EPOCH)
    for k in range(6):
        a, b, share = own.cells[k].caption, others.cells[k].caption, pairs[k].share
        soft = a if a == b else f"{share:.2f} {a} + {1 - share:.2f} {b}"
        assert results.cells[k].caption == soft
        np.testing.assert_array_equal(others.cells[k].image, drawn[k + 1][0])
    assert "+" in "".join(cell.caption for cell in results.cells)


def test_views_are_shown_side_by_side(image_files: Manifest):
    entries = {"resize": {"size": [40, 48]}}, {"five_crop": {"size": 32}}
    steps = read_steps([*entries, {"normalize": {"mean": [0, 0, 0], "std": [1, 1, 1]}}], "test")
    table = Preview(planner_of(image_files, steps), EPOCH, 2).by_epoch(1)
    assert table.columns == ["file", *(f"epoch 3, view {k}" for k in range(1, 6))]
    ((whole,), _) = draw(first(planner_of(image_files, steps[:1]), EPOCH, 2), EPOCH)
    np.testing.assert_array_equal(table.rows[0].cells[1].image, whole[:32, :32])
    np.testing.assert_array_equal(table.rows[0].cells[4].image, whole[-32:, -32:])


VIEWS = read_steps(
    [
        {"random_resized_crop": {"size": [40, 48]}},
        {"color_jitter": {"brightness": 0.4, "hue": 0.2}},
        {"five_crop": {"size": 32}},
        "horizontal_flip",
        {"normalize": {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.2, 0.3]}},
    ],
    "test",
)


def pixels(batch: Batch) -> np.ndarray:
    """(N, views, H, W, 3) uint8: what the loader and the stage make of a batch, before it is normalised."""
    images = DeviceStage(torch.device("cpu"), torch.float32).pixels(batch).numpy()
    return images.reshape(-1, batch.views, *images.shape[1:])


@pytest.mark.parametrize("epoch", [0, EPOCH])
@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize(("steps", "views"), [(STEPS, 1), (VIEWS, 5)], ids=["one view", "five views"])
def test_the_last_of_the_steps_is_the_loaders_batch(
    image_files: Manifest, steps: tuple[Step, ...], views: int, balance: bool, epoch: int
):
    uneven = replace(image_files, labels=np.where(np.arange(23) % 8 == 4, 0, 1))
    planner = planner_of(uneven, steps, size=40, balance=balance)
    table, batch = Preview(planner, epoch, 12).by_step(), training_batch(planner, epoch)
    assert batch.views == views
    assert [row.title for row in table.rows] == uneven.names[batch.rows[:12]].tolist()
    for row, theirs in zip(table.rows, pixels(batch)[:12], strict=True):
        np.testing.assert_array_equal([cell.image for cell in row.cells[-views:]], theirs)


def test_steps_from_the_views_on_have_a_column_for_each(image_files: Manifest):
    table = Preview(planner_of(image_files, VIEWS), EPOCH, 2).by_step()
    assert table.columns == [
        "file",
        "1 · random_resized_crop",
        "2 · color_jitter",
        *(f"3 · five_crop, view {k}" for k in range(1, 6)),
        *(f"4 · horizontal_flip, view {k}" for k in range(1, 6)),
    ]
    for row in table.rows:
        whole = row.cells[2].image
        np.testing.assert_array_equal(row.cells[3].image, whole[:32, :32])
        np.testing.assert_array_equal(row.cells[6].image, whole[-32:, -32:])
        for cropped, flipped in zip(row.cells[3:8], row.cells[8:], strict=True):
            assert any(np.array_equal(flipped.image, way) for way in (cropped.image, cropped.image[:, ::-1]))


def test_a_view_is_shown_mixed_with_the_same_view_of_the_next_image(image_files: Manifest):
    planner, mixer = planner_of(image_files, VIEWS), Mixer(Mix(mixup=1.0), CounterRNG(SEED))
    own, others, results = Preview(planner, EPOCH, 7).mixed(mixer).rows
    batch = training_batch(planner)
    before = pixels(batch).reshape(-1, 32, 32, 3)
    stage = DeviceStage(torch.device("cpu"), torch.float32)
    theirs, _, _ = mixer(stage(batch), torch.arange(len(before)), batch)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.25, 0.2, 0.3])
    after = (theirs.permute(0, 2, 3, 1) * std + mean) * 255
    for k in range(7):
        np.testing.assert_array_equal(own.cells[k].image, before[k])
        np.testing.assert_array_equal(others.cells[k].image, before[k + 5])
        np.testing.assert_allclose(results.cells[k].image, after[k].clamp(0, 255), atol=0.501)


def test_an_image_too_small_is_named_with_the_step(image_files: Manifest):
    steps = read_steps([{"random_crop": {"size": 500}}], "test")
    planner = replace(planner_of(image_files), steps=steps)
    name = image_files.names[training_batch(planner_of(image_files)).rows[0]]
    with pytest.raises(DataError, match=rf"{name}: random_crop: 500×500 does not fit"):
        draw(first(planner, EPOCH, 2), EPOCH)


def test_an_undecodable_image_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    manifest = Manifest(str(tmp_path), np.array(["a.jpg"], object))
    planner = planner_of(manifest, read_steps([{"resize": {"size": [8, 8]}}], "test"))
    with pytest.raises(UndecodableImage, match=r"a\.jpg"):
        Preview(planner, 0, 1).by_epoch(1)

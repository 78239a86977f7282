from dataclasses import replace

import numpy as np
import pytest
import torch

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import DataError
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step

END = STEPS["normalize"]((0.0,) * 3, (1.0,) * 3)
RESIZE, FLIP = STEPS["resize"]((8, 8)), STEPS["horizontal_flip"]()


def feed_of(image_files: Manifest, *steps: Step, batch_size: int = 5) -> BatchPlanner:
    return BatchPlanner(
        image_files, Sampler(len(image_files), seed=1), CounterRNG(1), (*steps, END), batch_size
    )


def test_batches_follow_the_order_and_the_last_may_be_short(image_files: Manifest) -> None:
    planner = feed_of(image_files, RESIZE)
    works = list(planner.epoch(2))
    assert [len(work.rows) for work in works] == [5, 5, 5, 5, 3]
    assert len(planner) == 5
    rows, repeats = planner.sampler.epoch(2)
    assert np.array_equal(np.concatenate([work.rows for work in works]), rows)
    assert np.array_equal(np.concatenate([work.repeats for work in works]), repeats)


@pytest.mark.parametrize("start", range(7))
def test_starting_late_gives_the_tail(start: int, image_files: Manifest) -> None:
    planner = feed_of(image_files, RESIZE, FLIP)
    tail = list(planner.epoch(1, start))
    for work, expected in zip(tail, list(planner.epoch(1))[start:], strict=True):
        assert np.array_equal(work.rows, expected.rows)
        assert np.array_equal(work.program.kernels[0].roi, expected.program.kernels[0].roi)


def test_a_rows_parameters_do_not_depend_on_the_batch_size(image_files: Manifest) -> None:
    few, many = (feed_of(image_files, RESIZE, FLIP, batch_size=n).epoch(0) for n in (4, 23))
    regions = np.concatenate([work.program.kernels[0].roi for work in few])
    assert np.array_equal(regions, next(many).program.kernels[0].roi)


def test_epochs_differ_in_parameters(image_files: Manifest) -> None:
    planner, rows = feed_of(image_files, RESIZE, FLIP), np.arange(23)
    regions = [planner.work(epoch, rows, rows * 0).program.kernels[0].roi for epoch in (0, 1)]
    assert not np.array_equal(*regions)


def test_repeats_of_a_row_differ_in_parameters(image_files: Manifest) -> None:
    work = feed_of(image_files, RESIZE, FLIP).work(0, np.full(40, 3), np.arange(40))
    assert len(np.unique(work.program.kernels[0].roi, axis=0)) == 2


def test_a_image_too_small_for_what_is_drawn_is_refused_by_its_name(image_files: Manifest) -> None:
    planner = feed_of(image_files, STEPS["random_crop"].read({"size": 90}))
    small = int(np.argmin(image_files.sizes.min(axis=1)))
    with pytest.raises(DataError, match=rf"/{small:02d}\.jpg: random_crop: 90×90 does not fit an image"):
        planner.work(0, np.array([np.argmax(image_files.sizes.min(axis=1)), small]), np.zeros(2, np.int64))


def test_steps_see_the_sizes_of_their_rows(image_files: Manifest) -> None:
    work = feed_of(image_files, STEPS["resize"](24), STEPS["center_crop"]((24, 24))).work(
        0, np.array([4, 2]), np.zeros(2, np.int64)
    )
    sizes = image_files.sizes[[4, 2]]
    assert (work.program.kernels[0].size.min(axis=1) == 24).all()
    assert np.array_equal(work.program.kernels[0].size.argmin(axis=1), sizes.argmin(axis=1))


def test_a_batch_carries_labels_rows_and_what_is_done(image_files: Manifest) -> None:
    planner = feed_of(image_files, RESIZE)
    work = planner.work(3, np.array([4, 1]), np.array([0, 2]))
    batch = planner.batch(work, torch.zeros(2, 8, 8, 3, dtype=torch.uint8), 1)
    assert batch.labels.tolist() == [0, 1]
    assert (batch.rows.tolist(), batch.repeats.tolist()) == ([4, 1], [0, 2])
    assert (batch.valid.tolist(), batch.epoch, batch.done, batch.views) == ([True, True], 3, 1, 1)
    assert len(batch) == 2


def test_unknown_labels_are_minus_one(image_files: Manifest) -> None:
    planner = feed_of(replace(image_files, labels=None), RESIZE)
    work = next(planner.epoch(0))
    assert planner.batch(work, torch.empty(0), 1).labels.tolist() == [-1] * 5


def test_a_image_too_small_is_refused_by_its_path_before_anything_runs(image_files: Manifest) -> None:
    steps = (STEPS["random_crop"]((120, 100)),)
    known = replace(
        image_files, sizes=np.array([[130, 110], [120, 100], [119, 100], [90, 90], [130, 110]], np.int32)
    )
    line = f"^{known.paths()[3]}: random_crop: 120×100 does not fit an image of 90×90; set pad_if_needed"
    with pytest.raises(DataError, match=line):
        BatchPlanner.over(known, steps, 2, 1)


RRC, CROP = STEPS["random_resized_crop"]((8, 8)), STEPS["random_crop"]((6, 6))


@pytest.mark.parametrize(
    ("steps", "together", "apart"),
    [
        ((RESIZE, FLIP), ["Resize"], ["Resize", "Flip"]),
        ((RESIZE, FLIP, RRC), ["Resize", "Resize"], ["Resize", "Flip", "Resize"]),
        ((RESIZE, FLIP, CROP, FLIP), ["Resize", "Window"], ["Resize", "Flip", "Window"]),
        ((STEPS["center_crop"]((50, 50)), FLIP, RRC), ["Window", "Resize"], ["Window", "Flip", "Resize"]),
    ],
)
def test_kernels_of_skipped_steps_stay_by_themselves_and_no_other_fusion_changes(
    steps: tuple[Step, ...], together: list[str], apart: list[str], image_files: Manifest
) -> None:
    planner = feed_of(image_files, *steps)
    for one, expected in ((planner, together), (replace(planner, skip=1), apart)):
        for program in (one.template, next(one.epoch(0)).program):
            assert [type(kernel).__name__ for kernel in program.kernels] == [*expected, "Normalize"]
        assert one.begun == one.skip


def test_skipping_steps_leaves_the_random_numbers_of_the_others(image_files: Manifest) -> None:
    planner, rows = feed_of(image_files, RESIZE, CROP), np.arange(23)
    starts = [
        replace(planner, skip=skip).work(2, rows, rows * 0).program.kernels[1].start.tolist()
        for skip in (0, 1)
    ]
    assert starts[0] == starts[1]

from dataclasses import replace

import numpy as np
import pytest
import torch
from recipes import NORMALIZE

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import DataError, SettingError
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.program import EMPTY, Program
from fastffdi.recipe.recipe import parse
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step
from fastffdi.render.cpu.decode import SourceDecoder

RESIZE, FLIP = STEPS["resize"]((8, 8)), STEPS["horizontal_flip"]()


def planner_of(image_files: Manifest, *steps: Step, batch_size: int = 5) -> BatchPlanner:
    return BatchPlanner(
        image_files, Sampler(len(image_files), seed=1), CounterRNG(1), (*steps, NORMALIZE), batch_size
    )


def test_batches_follow_the_order_and_the_last_may_be_short(image_files: Manifest) -> None:
    planner = planner_of(image_files, RESIZE)
    plans = list(planner.epoch(2))
    assert [len(plan.rows) for plan in plans] == [5, 5, 5, 5, 3]
    assert len(planner) == 5
    rows, repeats = planner.sampler.epoch(2)
    assert np.array_equal(np.concatenate([plan.rows for plan in plans]), rows)
    assert np.array_equal(np.concatenate([plan.repeats for plan in plans]), repeats)


@pytest.mark.parametrize("start", range(7))
def test_starting_late_gives_the_tail(start: int, image_files: Manifest) -> None:
    planner = planner_of(image_files, RESIZE, FLIP)
    tail = list(planner.epoch(1, start))
    for plan, expected in zip(tail, list(planner.epoch(1))[start:], strict=True):
        assert np.array_equal(plan.rows, expected.rows)
        assert np.array_equal(plan.program.kernels[0].roi, expected.program.kernels[0].roi)


def test_a_rows_parameters_do_not_depend_on_the_batch_size(image_files: Manifest) -> None:
    few, many = (planner_of(image_files, RESIZE, FLIP, batch_size=n).epoch(0) for n in (4, 23))
    regions = np.concatenate([plan.program.kernels[0].roi for plan in few])
    assert np.array_equal(regions, next(many).program.kernels[0].roi)


def test_epochs_differ_in_parameters(image_files: Manifest) -> None:
    planner, rows = planner_of(image_files, RESIZE, FLIP), np.arange(23)
    regions = [planner.plan(epoch, rows, rows * 0).program.kernels[0].roi for epoch in (0, 1)]
    assert not np.array_equal(*regions)


def test_repeats_of_a_row_differ_in_parameters(image_files: Manifest) -> None:
    plan = planner_of(image_files, RESIZE, FLIP).plan(0, np.full(40, 3), np.arange(40))
    assert len(np.unique(plan.program.kernels[0].roi, axis=0)) == 2


def test_a_image_too_small_for_what_is_drawn_is_refused_by_its_name(image_files: Manifest) -> None:
    planner = planner_of(image_files, STEPS["random_crop"].read({"size": 90}))
    small = int(np.argmin(image_files.sizes.min(axis=1)))
    with pytest.raises(DataError, match=rf"/{small:02d}\.jpg: random_crop: 90×90 does not fit an image"):
        planner.plan(0, np.array([np.argmax(image_files.sizes.min(axis=1)), small]), np.zeros(2, np.int64))


def test_steps_see_the_sizes_of_their_rows(image_files: Manifest) -> None:
    plan = planner_of(image_files, STEPS["resize"](24), STEPS["center_crop"]((24, 24))).plan(
        0, np.array([4, 2]), np.zeros(2, np.int64)
    )
    sizes = image_files.sizes[[4, 2]]
    assert (plan.program.kernels[0].size.min(axis=1) == 24).all()
    assert np.array_equal(plan.program.kernels[0].size.argmin(axis=1), sizes.argmin(axis=1))


def test_a_batch_carries_labels_rows_and_what_remains(image_files: Manifest) -> None:
    planner = planner_of(image_files, RESIZE)
    plan = planner.plan(3, np.array([4, 1]), np.array([0, 2]))
    remaining = plan.program.after(1)
    batch = planner.batch(plan, torch.zeros(2, 8, 8, 3, dtype=torch.uint8), remaining)
    assert batch.labels.tolist() == [0, 1]
    assert (batch.rows.tolist(), batch.repeats.tolist()) == ([4, 1], [0, 2])
    assert (batch.valid.tolist(), batch.epoch, batch.views) == ([True, True], 3, 1)
    assert batch.remaining is remaining
    assert len(batch) == 2


def test_unknown_labels_are_minus_one(image_files: Manifest) -> None:
    planner = planner_of(replace(image_files, labels=None), RESIZE)
    plan = next(planner.epoch(0))
    assert planner.batch(plan, torch.empty(0), EMPTY).labels.tolist() == [-1] * 5


def test_a_image_too_small_is_refused_by_its_path_before_anything_runs(image_files: Manifest) -> None:
    steps = (STEPS["random_crop"]((120, 100)),)
    known = replace(
        image_files, sizes=np.array([[130, 110], [120, 100], [119, 100], [90, 90], [130, 110]], np.int32)
    )
    line = f"^{known.paths()[3]}: random_crop: 120×100 does not fit an image of 90×90; set pad_if_needed"
    with pytest.raises(DataError, match=line):
        BatchPlanner.over(known, steps, LoaderSettings(1, 2))


RRC, CROP = STEPS["random_resized_crop"]((8, 8)), STEPS["random_crop"]((6, 6))


def kinds(program: Program) -> list[str]:
    return [type(kernel).__name__ for kernel in program.kernels]


@pytest.mark.parametrize(
    ("steps", "together", "parts"),
    [
        ((RESIZE, FLIP), ["Resize"], (["Resize"], ["Flip"])),
        ((RESIZE, FLIP, RRC), ["Resize", "Resize"], (["Resize"], ["Flip", "Resize"])),
        ((RESIZE, FLIP, CROP, FLIP), ["Resize", "Window"], (["Resize"], ["Flip", "Window"])),
        ((STEPS["center_crop"]((50, 50)), FLIP, RRC), ["Window", "Resize"], (["Window"], ["Flip", "Resize"])),
    ],
)
def test_kernels_of_prefix_steps_are_a_program_of_their_own_and_no_other_fusion_changes(
    steps: tuple[Step, ...], together: list[str], parts: tuple[list[str], list[str]], image_files: Manifest
) -> None:
    planner = planner_of(image_files, *steps)
    for one, expected in ((planner, ([], together)), (replace(planner, prefix_steps=1), parts)):
        plan = next(one.epoch(0))
        for programs in (one.template, (plan.prefix, plan.program)):
            assert tuple(map(kinds, programs)) == expected
            assert [program.normalize is None for program in programs] == [True, False]


def test_a_prefix_leaves_the_random_numbers_of_the_other_steps(image_files: Manifest) -> None:
    planner, rows = planner_of(image_files, RESIZE, CROP), np.arange(23)
    plans = [replace(planner, prefix_steps=count).plan(2, rows, rows * 0) for count in (0, 1)]
    starts = [plan.program.kernels[-1].start.tolist() for plan in plans]
    assert starts[0] == starts[1]


def test_the_batches_of_a_split_follow_the_recipe(image_files: Manifest) -> None:
    data = {
        "train": [{"resize": {"size": 9}}, {"center_crop": {"size": 8}}, "normalize"],
        "eval": [{"resize": {"size": [8, 8]}}, "normalize"],
        "decode": {"scaled": True},
    }
    recipe = parse(data, "x").resolve((8, 8), (0.5,) * 3, (0.5,) * 3)
    few = replace(image_files.take(slice(0, 3)), sizes=None)  # real, fake, real
    settings = LoaderSettings(1, 2)
    train = BatchPlanner.of_split(recipe, "train", few, settings, seed=4, balance=True)
    val = BatchPlanner.of_split(recipe, "eval", few, settings, seed=4, balance=True)
    assert (train.steps, val.steps) == (recipe.train, recipe.eval)
    assert train.sampler == Sampler(3, 4, True, few.labels)
    assert val.sampler == Sampler(3, 4, False, None)
    assert (len(train), len(val), train.batch_size) == (2, 2, 2)
    assert train.decoder == val.decoder == SourceDecoder(scaled=True)
    assert train.rng == val.rng == CounterRNG(4)
    assert train.manifest.sizes.tolist() == image_files.sizes[:3].tolist()
    assert val.manifest.sizes is None


class Shards:
    """A source that is not files."""


@pytest.mark.parametrize("decoder", [SourceDecoder(Shards()), lambda *given: None])
def test_a_loader_that_opens_files_refuses_images_that_are_none(decoder, image_files: Manifest) -> None:
    planner_of(image_files, RESIZE).require_files("dali")
    planner = replace(planner_of(image_files, RESIZE), decoder=decoder)
    with pytest.raises(
        SettingError, match=r"^--loader dali: opens image files itself, .*choose --loader cpu$"
    ):
        planner.require_files("dali")

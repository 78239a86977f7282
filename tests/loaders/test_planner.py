from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recipes import NORMALIZE

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import DataError, SettingError
from fastffdi.loaders import planner as module
from fastffdi.loaders.planner import BatchPlanner, cached
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


@pytest.mark.parametrize(
    ("size", "batches"), [(5, [5] * 4), (23, [23]), (12, [12]), (24, [23]), (1, [1] * 23)]
)
def test_without_the_last_short_batch_all_have_one_size(
    size: int, batches: list[int], image_files: Manifest
) -> None:
    every = planner_of(image_files, RESIZE, batch_size=size)
    planner = replace(every, drop_last=True)
    plans = list(planner.epoch(1))
    assert [len(plan.rows) for plan in plans] == batches
    assert (len(planner), planner.images) == (len(batches), sum(batches))
    rows = every.sampler.epoch(1)[0][: sum(batches)]
    assert np.array_equal(np.concatenate([plan.rows for plan in plans]), rows)


def test_which_images_are_left_out_differs_by_epoch(image_files: Manifest) -> None:
    planner = replace(planner_of(image_files, RESIZE), drop_last=True)
    used = [{row for plan in planner.epoch(epoch) for row in plan.rows.tolist()} for epoch in range(2)]
    assert [len(rows) for rows in used] == [20, 20]
    assert used[0] != used[1]


@pytest.mark.parametrize(("start", "batches"), [(0, 4), (3, 1), (4, 0), (6, 0)])
def test_without_the_short_batch_starting_late_gives_the_tail(
    start: int, batches: int, image_files: Manifest
) -> None:
    planner = replace(planner_of(image_files, RESIZE), drop_last=True)
    tail = [plan.rows.tolist() for plan in planner.epoch(1, start)]
    assert tail == [plan.rows.tolist() for plan in planner.epoch(1)][start:]
    assert len(tail) == batches


def test_a_rows_parameters_do_not_depend_on_the_batch_size(image_files: Manifest) -> None:
    few, many = (planner_of(image_files, RESIZE, FLIP, batch_size=n).epoch(0) for n in (4, 23))
    regions = np.concatenate([plan.program.kernels[0].roi for plan in few])
    assert np.array_equal(regions, next(many).program.kernels[0].roi)


def test_plans_are_of_their_epoch_and_of_repeated_rows(image_files: Manifest) -> None:
    sampler = Sampler(23, seed=1, labels=np.arange(23) // 20)  # three rows of class 1, repeated to twenty
    planner = replace(planner_of(image_files, RESIZE, FLIP), sampler=sampler)
    rows, repeats = sampler.epoch(2)
    assert repeats.max() == 6
    plans = list(planner.epoch(2))
    assert {plan.epoch for plan in plans} == {2}
    assert np.array_equal(np.concatenate([plan.repeats for plan in plans]), repeats)
    regions = np.concatenate([plan.program.kernels[0].roi for plan in plans])
    assert np.array_equal(regions, planner.plan(2, rows, repeats).program.kernels[0].roi)


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
    plan = planner.plan(3, np.array([5, 2]), np.array([0, 2]))
    remaining = plan.program.after(1)
    batch = planner.batch(plan, torch.zeros(2, 8, 8, 3, dtype=torch.uint8), remaining)
    assert batch.labels.tolist() == [1, 0]  # real and fake in turn
    assert (batch.rows.tolist(), batch.repeats.tolist()) == ([5, 2], [0, 2])
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
    line = f"^{known.paths()[2]}: random_crop: 120×100 does not fit an image of 119×100; set pad_if_needed"
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


def test_over_a_manifest_every_argument_reaches_its_place(image_files: Manifest) -> None:
    few, decoder = image_files.take(slice(0, 3)), SourceDecoder(scaled=True)  # real, fake, real
    steps, settings = (RESIZE, FLIP, NORMALIZE), LoaderSettings(1, 7)
    plain = BatchPlanner.over(few, steps, settings)
    assert plain == BatchPlanner(few, Sampler(3, 0, False, None), CounterRNG(0), steps, 7, SourceDecoder(), 0)
    asked = BatchPlanner.over(few, steps, settings, seed=6, shuffle=True, decoder=decoder)
    assert asked == BatchPlanner(few, Sampler(3, 6, True, None), CounterRNG(6), steps, 7, decoder, 0)
    balanced = BatchPlanner.over(few, steps, settings, balance=True)
    assert balanced.sampler == Sampler(3, 0, False, few.labels)


def test_training_is_shuffled_by_the_seed_and_evaluation_is_in_order(image_files: Manifest) -> None:
    entries = [{"resize": {"size": 9}}, "horizontal_flip", {"center_crop": {"size": 8}}, "normalize"]
    recipe = parse({"train": entries, "eval": [{"resize": {"size": [8, 8]}}, "normalize"]}, "x")
    recipe = recipe.resolve((8, 8), (0.5,) * 3, (0.5,) * 3)

    def rows(split: str, seed: int, epoch: int = 0) -> list[int]:
        planner = BatchPlanner.of_split(recipe, split, image_files, LoaderSettings(1, 23), seed=seed)
        return next(planner.epoch(epoch)).rows.tolist()

    in_order = list(range(23))
    assert rows("eval", 1) == rows("eval", 2, epoch=5) == in_order
    shuffled = [rows("train", 1), rows("train", 2), rows("train", 1, epoch=1), in_order]
    assert [sorted(some) for some in shuffled] == [in_order] * 4
    assert len({*map(tuple, shuffled)}) == 4
    assert rows("train", 1) == shuffled[0]


def test_another_seed_draws_other_numbers(image_files: Manifest) -> None:
    def flips(seed: int) -> list[bool]:
        planner = BatchPlanner.over(image_files, (FLIP, RESIZE, NORMALIZE), LoaderSettings(1, 23), seed=seed)
        roi = next(planner.epoch(0)).program.kernels[0].roi
        return (roi[:, 1] > roi[:, 3]).tolist()

    assert flips(3) == flips(3) != flips(4)
    assert 0 < sum(flips(3)) < 23


def test_sizes_are_probed_with_the_threads_and_the_source(
    image_files: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(Manifest, "with_sizes", lambda self, *given: asked.append(given) or image_files)
    source = Shards()
    unknown = replace(image_files, sizes=None)
    steps = (STEPS["random_resized_crop"]((8, 8)), NORMALIZE)
    planner = BatchPlanner.over(unknown, steps, LoaderSettings(5, 2), decoder=SourceDecoder(source))
    assert asked == [(5, source, False, 120.0)]
    assert planner.manifest is image_files


def test_a_cache_holds_what_the_planners_decoder_and_steps_make(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(module, "default_threads", lambda: 7)
    monkeypatch.setattr(module.CachePlan, "of", lambda *given: asked.append(given))
    decoder = SourceDecoder(scaled=True)
    planner = replace(planner_of(image_files, RESIZE, FLIP), decoder=decoder)
    planner.cache_plan(tmp_path)
    assert asked == [(image_files, planner.steps, decoder, tmp_path, 7)]


def test_planners_take_their_images_from_their_own_stores(image_files: Manifest, tmp_path: Path) -> None:
    planners = [planner_of(image_files, RESIZE, FLIP), planner_of(image_files, RRC)]
    folders = [planner.cache_plan(tmp_path).folder for planner in planners]
    kept = cached(planners, tmp_path)
    assert [planner.decoder.store.folder for planner in kept] == folders
    assert [planner.prefix_steps for planner in kept] == [1, 0]
    for planner, before in zip(kept, planners, strict=True):
        assert replace(planner, decoder=before.decoder, prefix_steps=0) == before


def test_a_batch_says_how_many_views_an_image_has(image_files: Manifest) -> None:
    planner = planner_of(image_files, STEPS["five_crop"]((20, 20)))
    plan = next(planner.epoch(0))
    assert planner.batch(plan, torch.empty(0), EMPTY).views == 5

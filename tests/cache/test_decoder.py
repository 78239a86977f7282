import pickle
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from cached_planners import ANY_SIZE, FLIP, PLAIN, RESIZE, SIZED, images, planner_of, through
from hypothesis import assume, given
from recipes import END, NORMALIZE
from strategies import beginnings, recipes, repeatable
from test_random_recipes import few, fits

from fastffdi.cache.decoder import CachedDecoder
from fastffdi.cache.plan import prefix_of
from fastffdi.data.manifest import Manifest
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner, cached
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.program import EMPTY, Program
from fastffdi.recipe.recipe import load, parse, shipped
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step
from fastffdi.render.cpu.decode import SourceDecoder
from fastffdi.render.device.stage import DeviceStage

pytestmark = pytest.mark.usefixtures("one_thread")

__all__ = ["few"]  # the fixture


# The same bits: filling, filled, and filled by another process.


@pytest.mark.parametrize("part", ["train", "eval"])
@pytest.mark.parametrize("name", shipped())
def test_shipped_recipes_give_the_same_images(
    name: str, part: str, image_files: Manifest, tmp_path: Path
) -> None:
    recipe = load(name).resolve((64, 64), (0.5,) * 3, (0.25,) * 3)
    some = image_files.take(np.arange(9))
    planner = planner_of(some, getattr(recipe, part))
    kept = through(planner, tmp_path)
    plain = images(planner)
    assert images(kept) == plain
    assert kept.decoder.store.stored == 9
    assert images(through(planner, tmp_path)) == plain


def given_to_the_model(planner: BatchPlanner, beyond: bool) -> dict[int, bytes]:
    """Each row's images, float32."""
    stage, found = DeviceStage(torch.device("cpu"), torch.float32), {}
    with closing(CpuLoader(planner, LoaderSettings(2), beyond)) as loader:
        for batch in loader.epoch(1):
            out = stage(batch).numpy().reshape(len(batch), -1)
            found.update(zip(batch.rows.tolist(), map(bytes, out), strict=True))
    return found


def same_with_and_without(planner: BatchPlanner, folder: Path) -> bool:
    """Whether the model is given the same while a store is filled, and from it."""
    kept = through(planner, folder)
    return all(
        given_to_the_model(kept, beyond) == given_to_the_model(planner, beyond)
        for beyond in (True, False, True)
    )


@repeatable
@given(steps=recipes())
def test_random_recipes_give_the_same_images(
    few: Manifest, tmp_path_factory: pytest.TempPathFactory, steps: tuple[Step, ...]
) -> None:
    assume(fits(steps, few))
    assert same_with_and_without(planner_of(few, steps, 4), tmp_path_factory.mktemp("cache"))


@repeatable
@given(steps=beginnings())
def test_random_recipes_with_deterministic_beginnings_give_the_same_images(
    few: Manifest, tmp_path_factory: pytest.TempPathFactory, steps: tuple[Step, ...]
) -> None:
    assume(fits(steps, few))
    assert prefix_of(steps)
    assert same_with_and_without(planner_of(few, steps, 4), tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("steps", [PLAIN, ANY_SIZE, SIZED])
def test_served_images_need_no_file_opened(
    steps: tuple[Step, ...], image_files: Manifest, tmp_path: Path, unopened: Callable[[], None]
) -> None:
    planner = through(planner_of(image_files, steps), tmp_path)
    first = images(planner, 3)
    unopened()
    assert images(planner, 3) == first
    assert images(through(planner_of(image_files, steps), tmp_path), 3) == first


def test_epochs_differ_as_they_do_without(image_files: Manifest, tmp_path: Path) -> None:
    planner = planner_of(image_files, ANY_SIZE)
    kept = through(planner, tmp_path)
    for epoch in (0, 1, 2):
        assert images(kept, epoch) == images(planner, epoch)


def test_a_planner_may_be_pickled(
    image_files: Manifest, tmp_path: Path, unopened: Callable[[], None]
) -> None:
    planner = through(planner_of(image_files, SIZED), tmp_path)
    first, copied = images(planner), pickle.loads(pickle.dumps(planner))
    unopened()
    assert images(copied) == first


def test_a_child_process_fills_and_serves(image_files: Manifest, tmp_path: Path) -> None:
    planner = through(planner_of(image_files, PLAIN), tmp_path)
    device = torch.device("cpu")
    with closing(ProcessLoader(planner, LoaderSettings(2), device)) as loader:
        for _ in range(2):
            found = {
                int(row): bytes(image.numpy().reshape(-1))
                for batch in loader.epoch(0)
                for row, image in zip(batch.rows, batch.images, strict=True)
            }
            assert found == images(planner_of(image_files, PLAIN))
    assert planner.decoder.store.stored == len(image_files)


def test_a_name_listed_twice_is_stored_once(image_files: Manifest, tmp_path: Path) -> None:
    twice = image_files.take(np.r_[0:6, 3, 5, 5])
    planner = planner_of(twice, SIZED)
    kept = through(planner, tmp_path)
    assert images(kept) == images(planner)
    assert (len(kept.decoder.store), kept.decoder.store.stored) == (6, 6)


def test_scaled_decoding_is_kept_apart(test_data: Path, tmp_path: Path) -> None:
    names = np.array(sorted(path.name for path in (test_data / "large").iterdir())[:2], object)
    large = Manifest(str(test_data / "large"), names).with_sizes(1)
    steps = (STEPS["resize"](200), STEPS["center_crop"]((200, 200)), FLIP, NORMALIZE)
    full, scaled = (
        planner_of(large, steps, decoder=SourceDecoder(scaled=scaled)) for scaled in (False, True)
    )
    for planner in (full, scaled, full, scaled):
        assert images(through(planner, tmp_path)) == images(planner)
    assert through(scaled, tmp_path).decoder.store.stored == 2
    assert images(full) != images(scaled)


def test_the_order_of_steps_is_kept_by_what_follows_the_stored_ones(
    image_files: Manifest, tmp_path: Path
) -> None:
    """A flip between two resizes, and between a crop and a resize, is done where it stands."""
    for first in ({"resize": {"size": [50, 60]}}, {"center_crop": {"size": [50, 60]}}):
        entries = [first, "horizontal_flip", {"random_resized_crop": {"size": [24, 32]}}, END]
        steps = parse({"train": entries, "eval": entries}, "x").train
        planner = planner_of(image_files, steps)
        kept = through(planner, tmp_path)
        assert [len(program) for program in kept.template] == [1, 2]
        assert images(kept) == images(planner)


# Whatever list they are on.


@pytest.mark.parametrize("steps", [PLAIN, ANY_SIZE, SIZED])
def test_another_list_decodes_only_what_is_new_in_it(
    steps: tuple[Step, ...], image_files: Manifest, tmp_path: Path, opened: list[str]
) -> None:
    images(through(planner_of(image_files.take(slice(3, 9)), steps), tmp_path))
    opened.clear()
    longer = planner_of(image_files.take(np.r_[20, 0:12]), steps)
    served = images(through(longer, tmp_path))
    assert sorted(opened) == sorted(image_files.paths(np.r_[0:3, 9:12, 20]))
    assert served == images(longer)
    opened.clear()
    shorter = planner_of(image_files.take(np.r_[11, 4, 20]), steps)
    served = images(through(shorter, tmp_path))
    assert opened == []
    assert served == images(shorter)


def test_training_and_validation_share_what_their_recipes_begin_with(
    image_files: Manifest, tmp_path: Path, opened: list[str]
) -> None:
    train, val = (
        planner_of(image_files, PLAIN),
        planner_of(image_files.take(slice(5, 9)), (RESIZE, NORMALIZE)),
    )
    kept = cached([train, val], tmp_path)
    assert kept[0].decoder.store.folder == kept[1].decoder.store.folder
    images(kept[0])
    opened.clear()
    served = images(kept[1])
    assert opened == []
    assert served == images(val)


# The decoder itself.


def test_a_cached_planner_has_a_decoder_of_its_own_and_a_prefix(
    image_files: Manifest, tmp_path: Path
) -> None:
    kept = through(planner_of(image_files, PLAIN), tmp_path)
    assert isinstance(kept.decoder, CachedDecoder)
    assert kept.prefix_steps == 1
    assert [type(kernel).__name__ for kernel in kept.template[0].kernels] == ["Resize"]


def test_what_is_missing_is_decoded_as_its_own_place_in_the_prefix_asks(
    image_files: Manifest, tmp_path: Path
) -> None:
    asked = []

    class Watching(SourceDecoder):
        def __call__(self, row: int, path: str, prefix: Program, program: Program, i: int) -> np.ndarray:
            asked.append((row, path, prefix, program, i))
            return super().__call__(row, path, prefix, program, i)

    kept = through(planner_of(image_files, PLAIN, decoder=Watching()), tmp_path)
    plan = kept.plan(0, np.array([4, 2, 9]), np.zeros(3, np.int64))
    path = image_files.paths()[9]
    kept.decoder(9, path, plan.prefix, plan.program, 2)
    assert asked == [(9, path, EMPTY, plan.prefix, 2)]


@pytest.mark.parametrize(
    ("scaled", "sizes"),
    [(False, [(101, 67)]), (True, [(101, 67), (51, 34), (26, 17), (13, 9)])],
)
def test_images_are_as_expected_in_their_own_size_or_as_scaled_decoding_makes_it(
    scaled: bool, sizes: list[tuple[int, int]]
) -> None:
    expected = np.array([[9, 9], [101, 67]])
    decoder = CachedDecoder(None, SourceDecoder(scaled=scaled), None, expected)
    some = [(101, 67), (51, 34), (50, 33), (26, 17), (13, 9), (67, 101), (9, 9), (7, 5)]
    assert [size for size in some if decoder._as_expected(1, np.zeros((*size, 3)))] == sizes

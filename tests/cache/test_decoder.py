import errno
import logging
import os
import pickle
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given
from PIL import Image
from recipes import END, NORMALIZE
from strategies import beginnings, recipes, repeatable
from test_random_recipes import few, fits

from fastffdi.cache import decoder as module
from fastffdi.cache.decoder import CachedDecoder, fill
from fastffdi.cache.plan import prefix_of
from fastffdi.cache.store import Store
from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.data.source import FileSource
from fastffdi.errors import UndecodableImage
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner, cached
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.program import EMPTY, Program
from fastffdi.recipe.recipe import load, parse, shipped
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step
from fastffdi.render.cpu.decode import SourceDecoder
from fastffdi.render.device.stage import DeviceStage

pytestmark = pytest.mark.usefixtures("one_thread")

__all__ = ["few"]  # the fixture

RESIZE, FLIP = STEPS["resize"]((24, 32)), STEPS["horizontal_flip"]()
CROP, RRC = STEPS["center_crop"]((50, 40)), STEPS["random_resized_crop"]((24, 32))
PLAIN, ANY_SIZE = (RESIZE, FLIP, NORMALIZE), (RRC, FLIP, NORMALIZE)
SIZED = (STEPS["resize"](40), STEPS["center_crop"]((32, 36)), FLIP, NORMALIZE)


def planner_of(image_files: Manifest, steps: tuple[Step, ...], batch_size: int = 5, **more) -> BatchPlanner:
    return BatchPlanner(image_files, Sampler(len(image_files), 5), CounterRNG(5), steps, batch_size, **more)


def through(planner: BatchPlanner, folder: Path) -> BatchPlanner:
    (found,) = cached([planner], folder)
    return found


def filled(planner: BatchPlanner, folder: Path, threads: int, progress: Callable = lambda rows: None) -> int:
    """How many images of a planner do not fit into its store in `folder`, which is filled."""
    plan = planner.cache_plan(folder)
    return fill(plan.open(), plan.manifest, plan.prefix, threads, progress)


def images(planner: BatchPlanner, epoch: int = 0) -> dict[int, bytes]:
    """Each row's images as the cpu loader gives them."""
    found = {}
    with closing(CpuLoader(planner, LoaderSettings(2))) as loader:
        for batch in loader.epoch(epoch):
            views = batch.images.numpy().reshape(len(batch), -1)
            found.update(zip(batch.rows.tolist(), map(bytes, views), strict=True))
    return found


@pytest.fixture
def copy(image_files: Manifest, tmp_path: Path) -> Manifest:
    """The images in a folder of the test's own."""
    root = tmp_path / "images"
    shutil.copytree(image_files.root, root)
    return replace(image_files, root=str(root))


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """After a call no image file can be opened any more."""

    def read(self, path):
        raise AssertionError(path)

    return lambda: monkeypatch.setattr(FileSource, "read", read)


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


# Whatever list they are on.


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were opened so far."""
    read, paths = FileSource.read, []
    monkeypatch.setattr(FileSource, "read", lambda self, path: paths.append(path) or read(self, path))
    return paths


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


# Nothing stale.


def overwrite(manifest: Manifest, row: int, image: np.ndarray) -> None:
    path = Path(manifest.paths()[row])
    Image.fromarray(image).save(path, quality=92)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1000))  # clocks may be coarse


@pytest.mark.parametrize("steps", [PLAIN, ANY_SIZE, SIZED])
def test_a_changed_file_is_opened_again(
    steps: tuple[Step, ...], copy: Manifest, tmp_path: Path, unopened: Callable[[], None]
) -> None:
    kept = through(planner_of(copy, steps), tmp_path / "cache")
    before = images(kept)
    overwrite(copy, 7, np.full((*copy.sizes[7], 3), 99, np.uint8))
    plain = images(planner_of(copy, steps))
    assert [row for row in plain if plain[row] != before[row]] == [7]
    assert images(kept) == plain
    unopened()
    assert images(kept) == plain


def test_a_file_changed_in_time_only_is_opened_again(copy: Manifest, tmp_path: Path) -> None:
    kept = through(planner_of(copy, PLAIN), tmp_path / "cache")
    before = images(kept)
    os.utime(copy.paths()[4], ns=(1, 1))
    identity = (os.stat(copy.paths()[4]).st_size, 1)
    assert not kept.decoder.store.has(4, identity)
    assert images(kept) == before
    assert kept.decoder.store.has(4, identity)


def test_a_file_that_has_outgrown_its_place_is_stored_in_another(
    copy: Manifest, tmp_path: Path, unopened: Callable[[], None]
) -> None:
    images(through(planner_of(copy, ANY_SIZE), tmp_path / "cache"))
    sizes = copy.sizes.copy()
    sizes[7] = 300, 400
    overwrite(copy, 7, np.full((300, 400, 3), 99, np.uint8))
    planner = planner_of(replace(copy, sizes=sizes), ANY_SIZE)
    plain = images(planner)
    assert images(through(planner, tmp_path / "cache")) == plain
    unopened()
    assert images(through(planner, tmp_path / "cache")) == plain


def test_a_file_that_changes_its_size_while_training_is_not_stored(copy: Manifest, tmp_path: Path) -> None:
    planner = planner_of(copy, (CROP, FLIP, NORMALIZE))
    kept = through(planner, tmp_path / "cache")
    overwrite(copy, 7, np.random.default_rng(0).integers(0, 256, (90, 91, 3), dtype=np.uint8))
    assert images(kept) == images(planner)
    assert kept.decoder.store.stored == len(copy) - 1


def test_a_file_that_changes_while_it_is_read_is_not_stored(
    copy: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = FileSource.read

    def changing(self, path):
        data = read(self, path)
        if path == copy.paths()[7]:
            os.utime(path, ns=(1, 1))
        return data

    monkeypatch.setattr(FileSource, "read", changing)
    kept = through(planner_of(copy, PLAIN), tmp_path / "cache")
    images(kept)
    assert kept.decoder.store.stored == len(copy) - 1


def test_a_image_that_is_gone_stops_the_epoch_by_its_name(copy: Manifest, tmp_path: Path) -> None:
    kept = through(planner_of(copy, PLAIN), tmp_path / "cache")
    images(kept)
    Path(copy.paths()[9]).unlink()
    with pytest.raises(UndecodableImage, match=r"09.jpg: cannot be decoded \(No such file or directory\)"):
        images(kept)


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


# A full disk.


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk on which there is room for three images."""
    put, puts = Store.put, []

    def refused(self, *record):
        if len(puts) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        puts.append(record)
        return put(self, *record)

    monkeypatch.setattr(Store, "put", refused)


@pytest.mark.usefixtures("full")
def test_on_a_full_disk_training_goes_on_and_it_is_said_once(
    image_files: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = through(planner_of(image_files, PLAIN), tmp_path)
    for _ in range(2):
        assert images(kept) == images(planner_of(image_files, PLAIN))
    assert kept.decoder.store.stored == 3
    line = "No space left on device; going on without storing more images, which need 0.0 MB"
    said = ("fastffdi.cache.decoder", logging.WARNING, f"--cache {tmp_path}: {line}")
    assert caplog.record_tuples == [said]


@pytest.mark.usefixtures("full")
def test_filling_beforehand_fails_on_a_full_disk_and_what_is_there_stays(
    image_files: Manifest, tmp_path: Path
) -> None:
    planner = planner_of(image_files, PLAIN)
    with pytest.raises(OSError, match="No space left on device"):
        filled(planner, tmp_path, 1)
    assert Store(planner.cache_plan(tmp_path).folder).stored == 3


def test_the_reserve_is_kept_while_it_is_filled(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = through(planner_of(image_files, PLAIN), tmp_path)
    monkeypatch.setattr(module, "free_bytes", lambda folder: 100)
    assert images(kept) == images(planner_of(image_files, PLAIN))
    assert kept.decoder.store.stored == 0
    assert len(caplog.records) == 1


def test_after_a_refusal_nothing_more_is_put(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refused(self: Store, k: int, *record: object) -> bool:
        asked.append(k)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Store, "put", refused)
    kept = through(planner_of(image_files, PLAIN), tmp_path)
    rows, none = np.arange(1), np.zeros(1, np.int64)
    for row in range(3):
        plan = kept.plan(0, rows + row, none)
        kept.decoder(row, image_files.paths()[row], plan.prefix, plan.program, 0)
    assert asked == [0]


def test_a_disk_that_cannot_be_read_is_done_without(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Store, *record: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    kept = through(planner_of(image_files, PLAIN), tmp_path)
    plain = images(kept)
    monkeypatch.setattr(Store, "get", fail)
    assert images(kept) == plain
    line = f"--cache {tmp_path}: Input/output error; going on without storing more images, which need 0.0 MB"
    assert [record.message for record in caplog.records] == [line]


def test_the_disk_is_looked_at_now_and_then(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    kept = through(planner_of(image_files, PLAIN), tmp_path)
    monkeypatch.setattr(module, "_CHECK_EVERY", 10)
    monkeypatch.setattr(module, "free_bytes", lambda folder: looked.append(folder) or 1 << 40)
    with closing(CpuLoader(kept, LoaderSettings(1))) as loader:
        list(loader.epoch(0))
    assert looked == [kept.decoder.store.folder] * 3  # at the 1st, 11th and 21st of 23


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


# Filling beforehand.


def test_filling_works_in_as_many_threads_as_asked_for_each_by_itself(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads meet in the two chunks of 23 images; a single one would wait in vain."""
    together, read, inside = threading.Barrier(2), FileSource.read, set()
    monkeypatch.setattr(cv2, "setNumThreads", lambda count: inside.add(("opencv", count)))
    torch.set_num_threads(3)  # `one_thread` sets them back

    def meet(self: FileSource, path: str) -> bytes:
        if Path(path).stem in ("00", "16"):
            together.wait(20)
        inside.add(("torch", torch.get_num_threads()))
        return read(self, path)

    monkeypatch.setattr(FileSource, "read", meet)
    assert filled(planner_of(image_files, PLAIN), tmp_path, 2) == 0
    assert inside == {("opencv", 0), ("torch", 1)}
    assert torch.get_num_threads() == 3


def test_filling_counts_every_file_that_changes_meanwhile(
    copy: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, counts = FileSource.read, []

    def changing(self: FileSource, path: str) -> bytes:
        data = read(self, path)
        if Path(path).stem in ("03", "07", "20"):
            os.utime(path, ns=(1, 1))
        return data

    monkeypatch.setattr(FileSource, "read", changing)
    planner = planner_of(copy, PLAIN)
    assert filled(planner, tmp_path / "cache", 1, counts.append) == 3
    assert counts == [16, 7]
    assert Store(planner.cache_plan(tmp_path / "cache").folder).stored == 20


@pytest.mark.parametrize("steps", [PLAIN, ANY_SIZE, SIZED])
def test_what_is_filled_beforehand_is_served(
    steps: tuple[Step, ...], image_files: Manifest, tmp_path: Path, unopened: Callable[[], None]
) -> None:
    planner, seen = planner_of(image_files, steps), []
    assert filled(planner, tmp_path, 2, seen.append) == 0
    assert sum(seen) == len(image_files)
    plain = images(planner)
    unopened()
    assert images(through(planner, tmp_path)) == plain


def test_filling_opens_a_name_listed_twice_once(image_files: Manifest, tmp_path: Path) -> None:
    twice, seen = image_files.take(np.r_[5, 5, 4:9, 3]), []
    planner = planner_of(twice, SIZED)
    filled(planner, tmp_path, 1, seen.append)
    assert seen == [6]
    assert Store(planner.cache_plan(tmp_path).folder).stored == 6


@pytest.mark.parametrize("count", [1, 16, 17])
def test_filling_stores_the_last_image_too(count: int, image_files: Manifest, tmp_path: Path) -> None:
    planner = planner_of(image_files.take(slice(0, count)), PLAIN)
    assert filled(planner, tmp_path, 1) == 0
    assert Store(planner.cache_plan(tmp_path).folder).stored == count


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


def test_filling_goes_on_where_it_was_left(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planner, opened = planner_of(image_files, PLAIN), []
    kept = through(planner, tmp_path)
    with closing(CpuLoader(kept, LoaderSettings(1, prefetch=0))) as loader:
        first = next(loader.epoch(0)).rows.tolist()
    read = FileSource.read
    monkeypatch.setattr(FileSource, "read", lambda self, path: opened.append(path) or read(self, path))
    filled(planner, tmp_path, 1)
    assert not {*opened} & {*image_files.paths(np.array(first))}
    assert kept.decoder.store.stored == len(image_files)


def test_filling_stops_at_a_spoilt_image_by_its_name(copy: Manifest, tmp_path: Path) -> None:
    Path(copy.paths()[9]).write_bytes(b"no image")
    with pytest.raises(UndecodableImage, match=r"09.jpg: cannot be decoded \(not a JPEG, "):
        filled(planner_of(copy, PLAIN), tmp_path / "cache", 1)


def test_an_interrupted_filling_stops_at_the_next_image_and_keeps_what_is_stored(
    image_files: Manifest, tmp_path: Path, opened: list[str]
) -> None:
    def interrupt(images: int) -> None:
        raise KeyboardInterrupt

    read = FileSource.read
    planner = planner_of(image_files, PLAIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", 4)
        patch.setattr(FileSource, "read", lambda self, path: time.sleep(0.05) or read(self, path))
        with pytest.raises(KeyboardInterrupt):
            filled(planner, tmp_path, 1, interrupt)
    assert 4 <= len(opened) < 8
    assert Store(planner.cache_plan(tmp_path).folder).stored == len(opened)
    assert filled(planner, tmp_path, 1) == 0
    assert sorted(opened) == sorted(image_files.paths())


def test_filling_leaves_torchs_threads_as_they_were(image_files: Manifest, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    filled(planner_of(image_files, PLAIN), tmp_path, 2)
    assert torch.get_num_threads() == before


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


def test_a_cached_planner_has_a_decoder_of_its_own_and_a_prefix(
    image_files: Manifest, tmp_path: Path
) -> None:
    kept = through(planner_of(image_files, PLAIN), tmp_path)
    assert isinstance(kept.decoder, CachedDecoder)
    assert kept.prefix_steps == 1
    assert [type(kernel).__name__ for kernel in kept.template[0].kernels] == ["Resize"]

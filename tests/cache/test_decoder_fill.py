"""`fill`: storing images before a run."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from cached_planners import ANY_SIZE, PLAIN, SIZED, filled, images, planner_of, through

from fastffdi.cache import decoder as module
from fastffdi.cache.store import Store
from fastffdi.data.manifest import Manifest
from fastffdi.data.source import FileSource
from fastffdi.errors import UndecodableImage
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps.base import Step

pytestmark = pytest.mark.usefixtures("one_thread")


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

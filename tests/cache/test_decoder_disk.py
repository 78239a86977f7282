"""A disk that is full, or fails, while images are stored or served."""

import errno
import logging
import os
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from cached_planners import PLAIN, filled, images, planner_of, through

from fastffdi.cache import decoder as module
from fastffdi.cache.store import Store
from fastffdi.data.manifest import Manifest
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.settings import LoaderSettings

pytestmark = pytest.mark.usefixtures("one_thread")


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

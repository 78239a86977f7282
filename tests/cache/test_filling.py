import errno
import os
from pathlib import Path

import numpy as np
import pytest
from recipes import NORMALIZE

from fastffdi.cache.filling import fill_all, kept
from fastffdi.cache.plan import CachePlan, needed
from fastffdi.cache.store import Store
from fastffdi.data.manifest import Manifest
from fastffdi.data.source import FILES, FileSource
from fastffdi.errors import RunError, UndecodableImage
from fastffdi.recipe.steps import STEPS
from fastffdi.render.cpu.decode import SourceDecoder

pytestmark = pytest.mark.usefixtures("one_thread")

RESIZE, FLIP = STEPS["resize"]((24, 32)), STEPS["horizontal_flip"]()
BYTES = 24 * 32 * 3


@pytest.fixture
def plans(image_files: Manifest, tmp_path: Path) -> list[CachePlan]:
    """Training images and validation images, of which four are the same, in one store."""
    parts = (image_files.take(slice(0, 14)), image_files.take(slice(10, 23)))
    folder = tmp_path / "kept it"
    return [CachePlan.of(part, (RESIZE, FLIP, NORMALIZE), SourceDecoder(), folder, 1) for part in parts]


def images(plan: CachePlan) -> list[np.ndarray | None]:
    """What is in the store of a plan's images."""
    records = plan.open().records.tolist()
    store, paths = Store(plan.folder), plan.manifest.paths()
    return [store.get(record, FILES.identity(path)) for record, path in zip(records, paths, strict=True)]


def test_all_plans_are_filled_and_progress_counts_each_plans_images(plans: list[CachePlan]) -> None:
    counts = []
    assert fill_all(plans, 1, counts.append) == 0
    assert counts == [14, 13]
    assert kept(plans) == "23 of 23 images"


def test_errors_of_single_images_are_collected_or_raised(
    plans: list[CachePlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, bad = FileSource.read, plans[1].manifest.paths()[7]
    monkeypatch.setattr(FileSource, "read", lambda self, path: b"" if path == bad else read(self, path))
    with pytest.raises(UndecodableImage):
        fill_all(plans, 1, lambda images: None)
    skipped: list[UndecodableImage] = []
    assert fill_all(plans, 1, lambda images: None, skipped) == 0
    assert [error.path for error in skipped] == [bad]
    assert kept(plans) == "22 of 23 images"


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A disk with room for the pixel values of three images and a half; undone by `undo`."""
    pwrite, room = os.pwrite, [BYTES * 7 // 2]

    def write(handle: int, data: bytes, offset: int) -> int:
        if not os.readlink(f"/proc/self/fd/{handle}").endswith("pixels.raw"):
            return pwrite(handle, data, offset)
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = pwrite(handle, bytes(data)[: room[0]], offset)
        room[0] -= written
        return written

    monkeypatch.setattr(os, "pwrite", write)
    return monkeypatch


def test_on_a_full_disk_what_is_whole_is_kept_and_one_line_says_what_the_rest_needs(
    plans: list[CachePlan], full_disk: pytest.MonkeyPatch
) -> None:
    folder = plans[0].folder.parent
    line = (
        f"--cache {folder}: No space left on device; kept 3 of 23 images, the rest needs 0.0 MB: make room "
        f"(fastffdi cache --cache '{folder}' --list names stores) and repeat the command"
    )
    with pytest.raises(RunError) as error:
        fill_all(plans, 1, lambda images: None)
    assert str(error.value) == line
    assert error.value.exit_code == 1
    full_disk.undo()
    there = images(plans[0])
    assert [image is not None for image in there] == [True] * 3 + [False] * 11
    (store,) = needed(plans)
    assert store.missing_bytes == 20 * (BYTES + 64)

    fill_all(plans, 1, lambda images: None)
    again = images(plans[0])
    assert all(np.array_equal(image, whole) for image, whole in zip(there[:3], again, strict=False))
    assert kept(plans) == "23 of 23 images"


@pytest.mark.parametrize("code", [errno.EIO, errno.EDQUOT])
def test_a_disk_that_fails_is_said_in_its_words(
    plans: list[CachePlan], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(self: Store, *record: object) -> bool:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Store, "put", fail)
    with pytest.raises(
        RunError, match=f"^--cache .*: {os.strerror(code)}; kept 0 of 23 images, the rest needs"
    ):
        fill_all(plans, 2, lambda images: None)

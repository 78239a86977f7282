"""Files that change while an epoch is under way, in every loader, with a cache and without."""

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from recipes import NORMALIZE

from fastffdi.data.manifest import Manifest
from fastffdi.loaders.batch import Backend, Batch
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.dali import DaliLoader
from fastffdi.loaders.planner import BatchPlanner, cached
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.loaders.torchvision import TorchvisionLoader
from fastffdi.recipe.steps import STEPS

#: So little ahead that what comes after the first batches is not read yet.
CPU, SETTINGS = torch.device("cpu"), LoaderSettings(1, 2, 1)
LOADERS: dict[str, Callable[[BatchPlanner, Path], Backend]] = {
    "cpu": lambda planner, folder: CpuLoader(planner, SETTINGS),
    "cpu, cached": lambda planner, folder: CpuLoader(cached([planner], folder)[0], SETTINGS),
    "process": lambda planner, folder: ProcessLoader(planner, SETTINGS, CPU),
    "dali": lambda planner, folder: DaliLoader(planner, SETTINGS, CPU),
    "torchvision": lambda planner, folder: TorchvisionLoader(planner, SETTINGS, CPU),
}
SLOW = "process"  # to start
REMOVED, FOLDER, CUT, NO_IMAGE, EMPTY, OTHER, FORBIDDEN = range(15, 22)
Images = dict[int, torch.Tensor]


@pytest.fixture
def copies(image_files: Manifest, tmp_path: Path) -> Manifest:
    """The images in a folder of their own."""
    (tmp_path / "images").mkdir()
    for path in image_files.paths():
        shutil.copy(path, tmp_path / "images")
    return Manifest(str(tmp_path / "images"), image_files.names, image_files.labels, image_files.sizes)


def change(manifest: Manifest) -> set[int]:
    """Do to one file each what may happen to it; the rows that cannot be decoded then."""
    files = [Path(path) for path in manifest.paths()]
    files[REMOVED].unlink()
    files[FOLDER].unlink()
    files[FOLDER].mkdir()
    files[CUT].write_bytes(files[CUT].read_bytes()[: files[CUT].stat().st_size // 2])
    files[NO_IMAGE].write_text("no longer an image")
    files[EMPTY].write_bytes(b"")
    shutil.copy(files[0], files[OTHER])
    files[FORBIDDEN].chmod(0)
    forbidden = set() if os.access(files[FORBIDDEN], os.R_OK) else {FORBIDDEN}  # root may read all
    return {REMOVED, FOLDER, CUT, NO_IMAGE, EMPTY, *forbidden}


def rendered(
    loader: str, planner: BatchPlanner, folder: Path, meanwhile: Callable[[], object]
) -> list[Batch]:
    """An epoch's batches; `meanwhile` happens after the first."""
    with closing(LOADERS[loader](planner, folder)) as backend:
        batches = backend.epoch(0)
        first = next(batches)
        meanwhile()
        return [first, *batches]


def by_row(batches: list[Batch]) -> Images:
    return {
        row: image for batch in batches for row, image in zip(batch.rows.tolist(), batch.images, strict=True)
    }


def ignore() -> None:
    """Nothing happens."""


@pytest.mark.parametrize(
    ("loader", "prepared"), [*((name, False) for name in LOADERS), ("cpu, cached", True)]
)
def test_what_changes_in_an_epoch_is_corrupt_or_another_image_and_nothing_else_changes(
    loader: str, prepared: bool, copies: Manifest, tmp_path: Path
) -> None:
    """`prepared`: all images are in the cache before."""
    planner = BatchPlanner.over(copies, (STEPS["resize"]((40, 48)), NORMALIZE), SETTINGS, skip_corrupt=True)
    store = tmp_path / "store"
    clean = by_row(rendered(loader, planner, store if prepared else tmp_path / "other", ignore))
    bad: set[int] = set()
    found = rendered(loader, planner, store, lambda: bad.update(change(copies)))
    assert np.concatenate([batch.rows for batch in found]).tolist() == list(range(23))
    assert np.concatenate([batch.labels for batch in found]).tolist() == copies.labels.tolist()
    assert {row for batch in found for row in batch.rows[~batch.valid].tolist()} == bad
    reported = {int(batch.rows[place]): error.path for batch in found for place, error in batch.corrupt}
    assert reported == {row: path for row, path in enumerate(copies.paths()) if row in bad}
    images = by_row(found)
    for row in set(range(23)) - bad:
        assert torch.equal(images[row], clean[0 if row == OTHER else row]), row


@pytest.mark.parametrize(
    "loader", [*sorted(LOADERS.keys() - {SLOW}), pytest.param(SLOW, marks=pytest.mark.slow)]
)
def test_an_image_that_is_of_another_size_then_disturbs_no_other(
    loader: str, copies: Manifest, tmp_path: Path
) -> None:
    """The programs of an epoch are made for the sizes that the images had before it."""
    steps = (STEPS["random_resized_crop"]((40, 48)), NORMALIZE)
    planner = BatchPlanner.over(copies, steps, SETTINGS, skip_corrupt=True)
    sizes = planner.manifest.sizes
    assert sizes is not None
    small, large = int(sizes.prod(axis=1).argmin()), int(sizes.prod(axis=1).argmax())
    clean = by_row(rendered(loader, planner, tmp_path / "a", ignore))
    files = [Path(path) for path in copies.paths()]

    def swap() -> None:
        shutil.copy(files[small], files[21])
        shutil.copy(files[large], files[22])

    found = rendered(loader, planner, tmp_path / "b", swap)
    assert np.concatenate([batch.rows for batch in found]).tolist() == list(range(23))
    assert {row for batch in found for row in batch.rows[~batch.valid].tolist()} <= {21, 22}
    if loader != "torchvision":  # its random numbers are its own
        images = by_row(found)
        assert all(torch.equal(images[row], clean[row]) for row in range(21))

"""Images that cannot be decoded, in every loader: reported, replaced, and without effect on the others."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from recipes import NORMALIZE

from fastffdi.data.manifest import Manifest
from fastffdi.errors import UndecodableImage
from fastffdi.loaders.batch import Backend, Batch
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.dali import DaliLoader
from fastffdi.loaders.placeholder import GREY
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.loaders.torchvision import TorchvisionLoader
from fastffdi.recipe.steps import STEPS

CPU, SETTINGS = torch.device("cpu"), LoaderSettings(2, 6)
RECIPES = {
    "sizes unknown": (STEPS["resize"]((40, 48)), NORMALIZE),
    "sizes needed": (STEPS["random_resized_crop"]((40, 48)), NORMALIZE),
}
LOADERS: dict[str, Callable[[BatchPlanner], Backend]] = {
    "cpu": lambda planner: CpuLoader(planner, SETTINGS),
    "process": lambda planner: ProcessLoader(planner, SETTINGS, CPU),
    "dali": lambda planner: DaliLoader(planner, SETTINGS, CPU),
    "dali, in parts": lambda planner: DaliLoader(planner, SETTINGS, CPU, 4),
    "torchvision": lambda planner: TorchvisionLoader(planner, SETTINGS, CPU),
}
ALL = pytest.mark.parametrize("loader", LOADERS)


@pytest.fixture
def copies(image_files: Manifest, tmp_path: Path) -> Manifest:
    """The images in a folder of their own, of sizes not known yet."""
    for path in image_files.paths():
        shutil.copy(path, tmp_path)
    names = np.array([Path(path).name for path in image_files.paths()], object)
    return Manifest(str(tmp_path), names, np.arange(len(names)) % 2)


def batches(loader: str, manifest: Manifest, recipe: str = "sizes unknown", skip: bool = True) -> list[Batch]:
    return list(given(loader, manifest, recipe, skip))


def given(loader: str, manifest: Manifest, recipe: str, skip: bool) -> Iterator[Batch]:
    planner = BatchPlanner.over(manifest, RECIPES[recipe], SETTINGS, seed=1, shuffle=True, skip_corrupt=skip)
    with closing(LOADERS[loader](planner)) as backend:
        yield from backend.epoch(0)


def spoil(manifest: Manifest, rows: list[int]) -> None:
    """Cut one file short, empty the next, remove the third, and so on."""
    faults = [
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
    ]
    for k, path in enumerate(map(Path, manifest.paths(np.array(rows, int)))):
        faults[k % 3](path)


@ALL
@pytest.mark.parametrize("recipe", RECIPES)
def test_all_others_come_once_and_as_they_would_without(loader: str, recipe: str, copies: Manifest) -> None:
    random = loader == "torchvision" and recipe == "sizes needed"  # its random numbers are its own
    copies = copies.with_sizes(1) if recipe == "sizes needed" else copies
    clean = {
        int(row): (image, label)
        for batch in batches(loader, copies, recipe)
        for row, image, label in zip(batch.rows, batch.images, batch.labels, strict=True)
    }
    bad = [3, 8, 17]
    spoil(copies, bad)
    found = batches(loader, replace(copies, sizes=None), recipe)
    rows = np.concatenate([batch.rows for batch in found])
    assert sorted(rows) == list(range(len(copies)))
    for batch in found:
        for k, row in enumerate(batch.rows.tolist()):
            assert batch.valid[k] == (row not in bad)
            assert batch.labels[k] == clean[row][1]
            assert not batch.valid[k] or random or torch.equal(batch.images[k], clean[row][0])
        assert [int(batch.rows[place]) for place, _ in batch.corrupt] == batch.rows[~batch.valid].tolist()
    errors = {error.path: error.reason for batch in found for _, error in batch.corrupt}
    assert sorted(errors) == sorted(copies.paths(np.array(bad)))
    assert "No such file" in errors[copies.paths(np.array(bad))[2]]


@ALL
def test_a_placeholder_is_the_first_valid_image_of_its_batch(loader: str, copies: Manifest) -> None:
    spoil(copies, [0, 1, 2, 3, 4, 5, 6, 7])
    found = batches(loader, copies)
    assert any(batch.corrupt for batch in found)
    for batch in found:
        if loader == "dali, in parts":
            continue  # of its part
        for place, _ in batch.corrupt:
            assert torch.equal(batch.images[place], batch.images[np.flatnonzero(batch.valid)[0]])


@ALL
def test_a_batch_without_a_valid_image_is_grey(loader: str, copies: Manifest) -> None:
    rows = [3, 4]
    spoil(copies, rows)
    (batch,) = batches(loader, copies.take(np.array(rows)))
    assert not batch.valid.any()
    assert batch.images.shape == (2, 40, 48, 3)
    assert batch.images.float().unique().tolist() == [0 if loader == "torchvision" else GREY]
    assert [place for place, _ in batch.corrupt] == [0, 1]


@ALL
def test_without_skipping_the_error_is_raised(loader: str, copies: Manifest) -> None:
    spoil(copies, [3])
    with pytest.raises(UndecodableImage, match="cannot be decoded"):
        batches(loader, copies, skip=False)


@ALL
def test_where_no_size_can_be_learnt_the_first_error_is_raised(loader: str, copies: Manifest) -> None:
    for path in map(Path, copies.paths()):
        path.write_bytes(b"none")
    with pytest.raises(UndecodableImage):
        batches(loader, copies, "sizes needed")


@pytest.mark.parametrize("bad", [[], [5]])
def test_what_only_the_cpu_decodes_is_rendered_by_it(copies: Manifest, bad: list[int]) -> None:
    for row in (2, 9):
        (path,) = copies.paths(np.array([row]))
        with Image.open(path) as image:
            image.convert("RGB").quantize().save(path, "GIF")
    spoil(copies, bad)
    ours, theirs = batches("dali", copies), batches("cpu", copies)
    assert [error.path for batch in ours for _, error in batch.corrupt] == copies.paths(np.array(bad, int))
    for a, b in zip(ours, theirs, strict=True):
        for row, x, y in zip(a.rows, a.images, b.images, strict=True):
            if row in (2, 9):
                assert torch.equal(x, y)

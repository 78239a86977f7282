"""What the dali loader does about bad images and other failures."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from recipes import NORMALIZE

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import RunError, UndecodableImage
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.dali import DaliLoader, failure
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import ResizeStep, Step


def loader_of(manifest: Manifest, step: Step) -> DaliLoader:
    planner = BatchPlanner(manifest, Sampler(len(manifest), 1), CounterRNG(1), (step, NORMALIZE), 4)
    return DaliLoader(planner, LoaderSettings(2), torch.device("cpu"))


@pytest.fixture
def loader(tmp_path: Path, image_files: Manifest) -> DaliLoader:
    """Over ten good images in a folder of their own, in batches of 4."""
    for path in image_files.paths()[:10]:
        shutil.copy(path, tmp_path)
    return loader_of(Manifest(str(tmp_path), image_files.names[:10]), ResizeStep((32, 32)))


def assert_same(ours: list[Batch], theirs: list[Batch]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.rows, b.rows)
        assert torch.equal(a.images, b.images)


def spoil(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.unlink()
    if how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    if how == "text":
        path.write_text("this is no image")
    if how == "empty":
        path.touch()
    if how == "folder":
        path.mkdir()
    if how == "gif":
        Image.new("RGB", (30, 30)).save(path, "GIF")


@pytest.mark.parametrize("how", ["truncated", "text", "empty", "missing", "folder", "gif"])
def test_a_bad_image_is_named_and_good_ones_still_come(loader: DaliLoader, how: str) -> None:
    good = list(loader.epoch(0))
    bad = loader.planner.manifest.paths()[int(good[1].rows[2])]
    kept = shutil.copy(bad, bad + ".kept")
    spoil(Path(bad), how)
    given = []
    with pytest.raises(UndecodableImage) as caught:
        given.extend(batch for batch in loader.epoch(0))
    assert caught.value.path == bad
    assert_same(given, good[:1])
    if how == "folder":
        Path(bad).rmdir()
    shutil.copy(kept, bad)
    assert_same(list(loader.epoch(0)), good)


def test_batches_before_a_bad_image_are_given(loader: DaliLoader) -> None:
    rows = loader.planner.sampler.epoch(0)[0]
    spoil(Path(loader.planner.manifest.paths()[int(rows[-1])]), "text")
    batches = loader.epoch(0)
    assert [len(next(batches)) for _ in range(2)] == [4, 4]
    with pytest.raises(UndecodableImage):
        next(batches)


def test_a_bad_image_in_an_epoch_left_early_is_nobodys_business(loader: DaliLoader) -> None:
    rows = loader.planner.sampler.epoch(0)[0]
    bad = Path(loader.planner.manifest.paths()[int(rows[5])])
    data = bad.read_bytes()
    spoil(bad, "text")
    batches = loader.epoch(0)
    next(batches)
    batches.close()
    bad.write_bytes(data)
    assert len(list(loader.epoch(0))) == 3


def test_a_failure_that_is_no_images_is_told_as_it_is(image_files: Manifest) -> None:
    first, *_, last = paths = image_files.paths()
    for text in ("long story encountered:\n\nout of memory\n", "out of\nmemory"):
        error = failure(paths, RuntimeError(text))
        assert type(error) is RunError
        images = f"the 23 images from {first} to {last}"
        assert str(error) == f"DALI failed on {images} (out of memory); choose --loader cpu"


@pytest.mark.parametrize(
    ("how", "reason"),
    [("text", "not a JPEG, PNG"), ("gif", "the dali loader does not know this kind of file")],
)
def test_of_several_bad_images_the_first_is_named(loader: DaliLoader, how: str, reason: str) -> None:
    paths = loader.planner.manifest.paths()
    for k in (3, 6):
        spoil(Path(paths[k]), how)
    error = failure(paths, RuntimeError("DALI's own words"))
    assert isinstance(error, UndecodableImage)
    assert (error.path, reason in str(error)) == (paths[3], True)


def test_an_undecodable_image_is_named_before_one_that_only_dali_does_not_know(loader: DaliLoader) -> None:
    paths = loader.planner.manifest.paths()
    spoil(Path(paths[2]), "gif")
    spoil(Path(paths[5]), "text")
    assert failure(paths, RuntimeError("DALI's own words")).path == paths[5]

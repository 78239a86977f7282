"""What the dali loader does about bad images and other failures."""

import shutil
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from recipes import NORMALIZE

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import RunError, UndecodableImage
from fastffdi.loaders import dali as module
from fastffdi.loaders import dali_parts
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.dali import DaliLoader, taken_out
from fastffdi.loaders.dali_parts import failure
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import ResizeStep, Step


def png_header(height: int, width: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


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


@pytest.mark.parametrize("how", ["truncated", "text", "empty", "missing", "folder"])
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


@pytest.mark.parametrize("how", ["text", "truncated"])
def test_of_several_bad_images_the_first_is_named(loader: DaliLoader, how: str) -> None:
    rows = loader.planner.sampler.epoch(0)[0][4:8]
    paths = loader.planner.manifest.paths(rows)
    for k in (1, 2):
        spoil(Path(paths[k]), how)
    with pytest.raises(UndecodableImage) as caught:
        list(loader.epoch(0))
    assert caught.value.path == paths[1]


def test_an_image_that_only_the_cpu_decodes_is_no_failure(loader: DaliLoader) -> None:
    rows = loader.planner.sampler.epoch(0)[0]
    spoil(Path(loader.planner.manifest.paths()[int(rows[5])]), "gif")
    batches = list(loader.epoch(0))
    assert batches[1].valid.all()
    assert not batches[1].images[1].any()  # the black GIF


def test_what_dali_is_given_has_been_admitted(loader: DaliLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header of many pixels makes DALI allocate them, and formats off the list are not for it."""
    paths = [Path(path) for path in loader.planner.manifest.paths()]
    paths[2].write_bytes(png_header(60000, 60000))
    paths[3].write_bytes(b"P6 1 1 255 abc")  # PPM, which DALI knows
    paths[7].unlink()
    given: list[str] = []

    def recorded(*args: Any) -> Iterator[dali_parts.Part]:
        for part in dali_parts.divided(*args):
            given.extend(() if part.is_blank else part.paths)
            yield part

    monkeypatch.setattr(module, "divided", recorded)
    planner = replace(loader.planner, skip_corrupt=True)
    batches = list(DaliLoader(planner, LoaderSettings(2), torch.device("cpu")).epoch(0))
    assert not {str(paths[k]) for k in (2, 3, 7)} & set(given)
    reasons = {error.path: error.reason for batch in batches for _, error in batch.corrupt}
    assert reasons == {
        str(paths[2]): "60000×60000 are 3,600 megapixels, the limit is 178.96",
        str(paths[3]): "not a JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF image",
        str(paths[7]): "No such file or directory",
    }


def test_a_failure_that_has_passed_is_no_failure(loader: DaliLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    good, calls = list(loader.epoch(0)), iter([None, RuntimeError("Input/output error")])

    def flaky(*args: Any) -> torch.Tensor:
        if error := next(calls, None):
            raise error
        return taken_out(*args)

    monkeypatch.setattr(module, "taken_out", flaky)
    assert_same(list(loader.epoch(0)), good)


def test_a_failure_that_comes_again_ends_the_epoch(
    loader: DaliLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> torch.Tensor:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(module, "taken_out", broken)
    with pytest.raises(RunError, match=r"DALI failed on the 4 images .* \(out of memory\)"):
        list(loader.epoch(0))

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recipes import NORMALIZE

from fastffdi.data.manifest import Manifest
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.program import EMPTY, Program
from fastffdi.recipe.steps import STEPS
from fastffdi.render.cpu.decode import DECODER, Decoder, SourceDecoder, decode_path

CROP = STEPS["random_resized_crop"]((24, 24))
TURNED = STEPS["resize"]((24, 24)), STEPS["vertical_flip"](), STEPS["horizontal_flip"](), NORMALIZE


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, paint) -> Manifest:
    """Eight JPEGs of 200 × 336 pixels, some of them turned."""
    folder = tmp_path_factory.mktemp("large")
    for k in range(8):
        exif = Image.Exif()
        exif[0x0112] = k + 1
        Image.fromarray(paint(200, 336, k)).save(folder / f"{k}.jpg", quality=95, exif=exif)
    return Manifest(str(folder), np.array([f"{k}.jpg" for k in range(8)], object))


def images(manifest: Manifest, steps: tuple, decoder: Decoder) -> np.ndarray:
    settings = LoaderSettings(threads=2, batch_size=8)
    planner = replace(BatchPlanner.over(manifest, steps, settings, shuffle=True), decoder=decoder)
    with closing(CpuLoader(planner, settings)) as loader:
        return next(loader.epoch(0)).images.numpy().astype(int)


def test_files_are_decoded_whole_unless_asked_otherwise(large: Manifest) -> None:
    path = large.paths()[2]
    assert np.array_equal(DECODER(2, path, EMPTY, EMPTY, 0), decode_path(path))


@pytest.mark.parametrize("steps", [TURNED, (CROP, NORMALIZE)])
def test_scaled_decoding_shows_nearly_the_same_image(large: Manifest, steps: tuple) -> None:
    whole, scaled = images(large, steps, DECODER), images(large, steps, SourceDecoder(scaled=True))
    assert whole.shape == scaled.shape == (8, 24, 24, 3)
    assert not np.array_equal(whole, scaled)
    # The reduced image's own region is rounded to its pixels, up to half of one of these.
    assert np.abs(whole - scaled).mean(axis=(1, 2, 3)).max() <= (2 if steps is TURNED else 8)


def test_images_that_are_not_large_are_not_touched(image_files: Manifest) -> None:
    steps = (STEPS["resize"]((70, 70)), NORMALIZE)  # none is 140 pixels high or wide
    whole, scaled = (images(image_files, steps, one) for one in (DECODER, SourceDecoder(scaled=True)))
    assert np.array_equal(whole, scaled)


def test_the_loaders_threads_open_each_image_by_its_own_row(large: Manifest) -> None:
    def remember(row: int, path: str, prefix: Program, program: Program, i: int) -> np.ndarray:
        assert Path(path).stem == str(row)
        return decode_path(path)

    assert images(large, TURNED, remember).shape == (8, 24, 24, 3)

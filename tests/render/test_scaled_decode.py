from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastffdi.data.manifest import Manifest
from fastffdi.data.source import FILES, Files
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.recipe.steps import STEPS
from fastffdi.render.cpu.decode import decode_file

END = STEPS["normalize"]((0.5,) * 3, (0.25,) * 3)
CROP = STEPS["random_resized_crop"]((24, 24))
TURNED = STEPS["resize"]((24, 24)), STEPS["vertical_flip"](), STEPS["horizontal_flip"](), END


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, paint) -> Manifest:
    """Eight JPEGs of 200 × 336 pixels, some of them turned."""
    folder = tmp_path_factory.mktemp("large")
    for k in range(8):
        exif = Image.Exif()
        exif[0x0112] = k + 1
        Image.fromarray(paint(200, 336, k)).save(folder / f"{k}.jpg", quality=95, exif=exif)
    return Manifest(str(folder), np.array([f"{k}.jpg" for k in range(8)], object))


def images(manifest: Manifest, steps: tuple, source: Files) -> np.ndarray:
    planner = BatchPlanner.over(manifest, steps, 8, 2, shuffle=True, source=source)
    with closing(CpuLoader(planner, 2)) as loader:
        return next(loader.epoch(0)).images.numpy().astype(int)


def test_files_are_decoded_whole_unless_asked_otherwise(large: Manifest) -> None:
    path = large.paths()[2]
    assert np.array_equal(FILES(2, path, None, 0), decode_file(path))


@pytest.mark.parametrize("steps", [TURNED, (CROP, END)])
def test_scaled_decoding_shows_nearly_the_same_image(large: Manifest, steps: tuple) -> None:
    whole, scaled = images(large, steps, FILES), images(large, steps, Files(scaled=True))
    assert whole.shape == scaled.shape == (8, 24, 24, 3)
    assert not np.array_equal(whole, scaled)
    # The reduced image's own region is rounded to its pixels, up to half of one of these.
    assert np.abs(whole - scaled).mean(axis=(1, 2, 3)).max() <= (2 if steps is TURNED else 8)


def test_images_that_are_not_large_are_not_touched(image_files: Manifest) -> None:
    steps = (STEPS["resize"]((70, 70)), END)  # none is 140 pixels high or wide
    assert np.array_equal(images(image_files, steps, FILES), images(image_files, steps, Files(scaled=True)))


def test_the_loaders_threads_open_each_image_by_its_own_row(large: Manifest) -> None:
    def remember(row, path, program, i):
        assert Path(path).stem == str(row)
        return decode_file(path)

    assert images(large, TURNED, remember).shape == (8, 24, 24, 3)

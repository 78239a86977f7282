"""Fixtures that many tests share: painted pictures, folders of them, and the pictures for measuring."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fastffdi.data.manifest import Manifest

Paint = Callable[[int, int, int], np.ndarray]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor fill the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTFFDI_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def paint() -> Paint:
    """paint(height, width, seed): a smooth (H, W, 3) uint8 picture with all levels in it."""
    return _painted


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """23 JPEGs of different sizes, 60 to 130 pixels a side, real and fake in turn, sizes known."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(7)
    sizes = rng.integers(60, 131, (23, 2)).astype(np.int32)
    names = np.array([f"{k:02d}.jpg" for k in range(len(sizes))], object)
    for k, (height, width) in enumerate(sizes.tolist()):
        Image.fromarray(_painted(height, width, k)).save(folder / names[k], quality=92)
    return Manifest(str(folder), names, np.arange(len(sizes)) % 2, sizes)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of pictures for measuring, where `FASTFFDI_TEST_DATA` names one."""
    named = os.environ.get("FASTFFDI_TEST_DATA")
    if not named:
        pytest.skip("FASTFFDI_TEST_DATA does not name the folder of pictures for measuring")
    return Path(named)


def _painted(height: int, width: int, seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).uniform(-60, 316, (6, 6, 3))
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return smooth.clip(0, 255).astype(np.uint8)

"""Five small images to store, and stores with places for them."""

from pathlib import Path

import numpy as np

from fastffdi.cache.store import Store
from fastffdi.data.source import path_digest

SIZES = np.array([[5, 7], [16, 16], [3, 3], [40, 30], [1, 1]], np.int32)
IDENTITY = (1234, 987654321)


def paths(*numbers: int) -> np.ndarray:
    """(N,) S16: digests of the paths of some images."""
    return np.array([path_digest(f"/images/{k}.jpg") for k in numbers], "S16")


def made(folder: Path, sizes: np.ndarray) -> Store:
    """A store with places for images 0, 1, … of sizes (N, 2)."""
    store = Store.make(folder, {"what": "test"})
    assert store.reserve(paths(*range(len(sizes))), sizes).tolist() == list(range(len(sizes)))
    return store


def stored_image(k: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([k, seed]).integers(0, 256, (*SIZES[k], 3), dtype=np.uint8)

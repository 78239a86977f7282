from pathlib import Path

import numpy as np
import pytest

from fastffdi.cache.contents import contents
from fastffdi.cache.store import Store
from fastffdi.errors import SettingError

PATHS = np.array([b"a", b"b", b"c", b"d"], "S16")
SIZES = np.array([[8, 8], [16, 16], [3, 3], [40, 30]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store in which there is the second of three images."""
    store = Store.make(tmp_path / "store", {})
    store.reserve(PATHS[:3], SIZES[:3])
    store.put(1, (1, 1), np.zeros((16, 16, 3), np.uint8))
    return store.folder


def test_of_a_store_that_is_not_there_all_is_missing(tmp_path: Path) -> None:
    (found,) = contents([(tmp_path / "none", PATHS, SIZES)])
    assert (found.stored, found.bytes, found.missing_bytes) == (0, 4928, 4928)
    assert found.bytes == (192 + 64) + (768 + 64) + (64 + 64) + (3648 + 64)


def test_what_is_there_is_not_missing(folder: Path) -> None:
    (found,) = contents([(folder, PATHS, SIZES)])
    assert (found.stored, found.there.tolist()) == (1, [False, True, False, False])
    assert found.bytes - found.missing_bytes == 768 + 64


def test_parts_of_one_store_are_counted_once(folder: Path, tmp_path: Path) -> None:
    parts = [
        (folder, PATHS[:2], SIZES[:2]),
        (tmp_path / "none", PATHS, SIZES),
        (folder, PATHS[1:3], SIZES[1:3]),
    ]
    first, other = contents(parts)
    assert (first.stored, first.sizes.tolist()) == (1, [[8, 8], [16, 16], [3, 3]])
    assert (other.stored, len(other.sizes)) == (0, 4)


def test_a_damaged_store_is_refused(folder: Path) -> None:
    (folder / "index").unlink()
    with pytest.raises(SettingError, match="the index of store cannot be read"):
        contents([(folder, PATHS, SIZES)])

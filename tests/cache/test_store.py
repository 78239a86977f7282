import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from stored_images import IDENTITY, SIZES, paths, stored_image

from fastffdi.cache.store import Store, capacities


def test_the_capacity_is_a_whole_number_of_cache_lines() -> None:
    assert capacities(SIZES).tolist() == [128, 768, 64, 3648, 64]
    assert capacities(np.array([[50_000, 50_000]], np.int32)).tolist() == [7_500_000_000]


def test_a_full_store_takes_its_capacity_and_a_row_of_64_bytes_an_image(store: Store) -> None:
    for k in range(5):
        store.put(k, IDENTITY, stored_image(k))
    sizes = {path.name: path.stat().st_size for path in store.folder.iterdir() if path.suffix != ".json"}
    assert sizes == {"pixels.raw": 4672, "index": 64 + 5 * 64}


def test_what_is_put_is_got(store: Store) -> None:
    assert all(store.put(k, IDENTITY, stored_image(k)) for k in range(5))
    for k in range(5):
        assert np.array_equal(store.get(k, IDENTITY), stored_image(k))
    assert (store.stored, len(store)) == (5, 5)


def test_what_is_not_there_is_none(store: Store) -> None:
    store.put(1, IDENTITY, stored_image(1))
    assert [k for k in range(5) if store.get(k, IDENTITY) is not None] == [1]
    assert [k for k in range(5) if store.has(k, IDENTITY)] == [1]


def test_an_empty_file_of_1970_is_not_there_either(store: Store) -> None:
    """Its identity is what an empty row of the index has."""
    store.put(0, IDENTITY, stored_image(0))  # so that there is a shard
    assert not store.has(3, (0, 0))
    assert store.get(3, (0, 0)) is None


@pytest.mark.parametrize("identity", [(1235, 987654321), (1234, 987654322)])
def test_another_length_or_time_of_change_is_another_image(store: Store, identity: tuple) -> None:
    store.put(3, IDENTITY, stored_image(3))
    assert store.get(3, identity) is None
    assert not store.has(3, identity)


def test_a_image_is_replaced(store: Store) -> None:
    store.put(3, IDENTITY, stored_image(3))
    assert np.array_equal(store.get(3, IDENTITY), stored_image(3))
    store.put(3, (7, 8), stored_image(3, 1))
    assert store.get(3, IDENTITY) is None
    assert np.array_equal(store.get(3, (7, 8)), stored_image(3, 1))


def test_a_smaller_image_fits_and_a_larger_one_is_refused(store: Store) -> None:
    small = stored_image(3)[:20, :10]
    assert store.put(3, IDENTITY, small)
    assert np.array_equal(store.get(3, IDENTITY), small)
    assert not store.put(2, IDENTITY, stored_image(3))
    assert store.get(2, IDENTITY) is None


def test_a_image_need_not_be_contiguous(store: Store) -> None:
    store.put(3, IDENTITY, stored_image(3)[:, ::-1])
    assert np.array_equal(store.get(3, IDENTITY), stored_image(3)[:, ::-1])


def test_images_are_views_and_writing_to_one_does_not_reach_the_disk(store: Store) -> None:
    store.put(3, IDENTITY, stored_image(3))
    image = store.get(3, IDENTITY)
    assert image.base is not None
    image[:] = 0
    assert np.array_equal(Store(store.folder).get(3, IDENTITY), stored_image(3))


def test_another_store_on_the_folder_sees_images_at_once(store: Store) -> None:
    other = pickle.loads(pickle.dumps(store))
    assert other.get(0, IDENTITY) is None
    store.put(0, IDENTITY, stored_image(0))
    assert np.array_equal(other.get(0, IDENTITY), stored_image(0))


def test_a_store_may_be_larger_than_memory(tmp_path: Path) -> None:
    """Private pages of a mapping count as used memory, unless the system is told otherwise."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    store = Store.make(tmp_path / "store", {})
    side = int((4 * memory // 3) ** 0.5)
    store.reserve(paths(0, 1), np.array([[side, side], [8, 8]]))
    image = np.full((8, 8, 3), 9, np.uint8)
    assert store.put(1, IDENTITY, image)
    assert np.array_equal(store.get(1, IDENTITY), image)
    assert (store.folder / "pixels.raw").stat().st_size > 2 * memory


def test_reading_opens_no_file_twice_and_writing_leaves_none_open(store: Store) -> None:
    for k in range(5):
        store.put(k, IDENTITY, stored_image(k))
    store.get(0, IDENTITY)
    before = os.listdir("/proc/self/fd")
    for k in range(5):
        store.get(k, IDENTITY)
        store.put(k, IDENTITY, stored_image(k))
    assert os.listdir("/proc/self/fd") == before


def test_a_file_of_a_time_that_does_not_fit_is_not_stored(store: Store) -> None:
    """The year 2400 in ns since 1970 takes more than 63 bits."""
    assert not store.put(3, (1, 13_569_465_600 * 10**9), stored_image(3))
    assert store.stored == 0


def test_a_disk_that_is_nearly_full_takes_a_image_in_parts(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, start: pwrite(handle, bytes(data)[:999], start))
    store.put(3, IDENTITY, stored_image(3))
    assert np.array_equal(store.get(3, IDENTITY), stored_image(3))

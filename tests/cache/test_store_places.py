"""Places in a store: which images have one, and how more are reserved."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from stored_images import IDENTITY, SIZES, paths, stored_image

from fastffdi.cache.index import Index
from fastffdi.cache.store import Store
from fastffdi.errors import RunError, SettingError


def test_another_list_finds_what_is_there_and_gets_places_for_the_rest(store: Store) -> None:
    for k in range(5):
        store.put(k, IDENTITY, stored_image(k))
    other = Store.make(store.folder, {})
    records = other.reserve(paths(7, 3, 6, 0), np.array([[9, 9], SIZES[3], [2, 2], SIZES[0]]))
    assert records.tolist() == [5, 3, 6, 0]
    assert np.array_equal(other.get(3, IDENTITY), stored_image(3))
    image = np.full((9, 9, 3), 77, np.uint8)
    assert other.put(5, IDENTITY, image)
    for reader in (other, Store(store.folder)):
        assert np.array_equal(reader.get(5, IDENTITY), image)
        assert all(np.array_equal(reader.get(k, IDENTITY), stored_image(k)) for k in range(5))
    assert (len(store), len(other)) == (5, 7)


def test_what_has_been_reserved_is_neither_locked_nor_written_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the folder must not be written to."""
    monkeypatch.setattr(Index, "locked", None)
    assert Store(store.folder).reserve(paths(4, 1), SIZES[[4, 1]]).tolist() == [4, 1]
    assert Store(store.folder).reserve(paths(4), np.array([[2, 3]])).tolist() == [4]


def test_an_image_listed_twice_gets_one_place(tmp_path: Path) -> None:
    store = Store.make(tmp_path / "store", {})
    assert store.reserve(paths(5, 2, 5, 5, 2), np.full((5, 2), 8)).tolist() == [0, 1, 0, 0, 1]
    assert len(store) == 2


def test_an_image_that_has_outgrown_its_place_gets_another(store: Store) -> None:
    store.put(2, IDENTITY, stored_image(2))
    other = Store.make(store.folder, {})
    assert other.reserve(paths(2, 3), np.array([[30, 30], SIZES[3]])).tolist() == [5, 3]
    large = np.full((30, 30, 3), 5, np.uint8)
    assert other.put(5, (7, 8), large)
    assert np.array_equal(store.get(2, IDENTITY), stored_image(2))
    assert Store(store.folder).reserve(paths(2), SIZES[2:3]).tolist() == [5]


def test_another_process_may_reserve_meanwhile(store: Store) -> None:
    """What was appended since this store was opened is found under the lock."""
    Store(store.folder).reserve(paths(8, 9), np.full((2, 2), 8))
    assert store.reserve(paths(9, 10), np.full((2, 2), 8)).tolist() == [6, 7]
    assert len(Store(store.folder)) == 8


def test_places_that_cannot_be_reserved_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, length: int) -> None:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    monkeypatch.setattr(os, "truncate", full)
    line = rf"^--cache {store.folder.parent}: cannot be written to \(File too large\); name another folder$"
    with pytest.raises(SettingError, match=line):
        store.reserve(paths(9), np.array([[9, 9]]))
    assert len(Store(store.folder)) == 5


def test_a_disk_without_room_for_places_leaves_the_store_as_it_was(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    store.put(3, IDENTITY, stored_image(3))

    def full(handle: int, data: bytes, offset: int) -> int:
        if offset >= 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(handle, bytes(data)[:100], 6 * 64)  # a row and a half

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda handle, data, offset: full(handle, data, offset - 6 * 64))
        line = f"^--cache {store.folder.parent}: No space left on device; make room, or name another folder$"
        with pytest.raises(RunError, match=line):
            store.reserve(paths(6, 7, 8), np.full((3, 2), 9))
    again = Store(store.folder)
    assert np.array_equal(again.get(3, IDENTITY), stored_image(3))
    assert again.reserve(paths(8, 7, 6), np.full((3, 2), 9)).tolist() == [6, 7, 5]


def test_which_images_are_held_is_known_by_their_paths(store: Store) -> None:
    store.put(3, IDENTITY, stored_image(3))
    assert store.holds(paths(2, 3, 9)).tolist() == [False, True, False]
    assert Store.make(store.folder.with_name("empty"), {}).holds(paths(2, 3)).tolist() == [False, False]


def test_what_is_missing_shrinks_as_the_store_fills(store: Store) -> None:
    assert store.missing_bytes(np.array([0, 3, 4])) == 128 + 3648 + 64
    store.put(3, IDENTITY, stored_image(3))
    assert store.missing_bytes(np.array([0, 3, 4])) == 128 + 64

"""Images that are half written or changed on the disk: a store gives whole ones only."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stored_images import IDENTITY, stored_image

from fastffdi.cache import store as cache
from fastffdi.cache.store import Store

OFFSETS = (0, 128, 896, 960, 4608)


def half_written(store: Store, k: int) -> None:
    """As after a power cut: the index knows the image, whose last levels have not reached the disk."""
    store.put(k, IDENTITY, stored_image(k))
    with open(store.folder / "pixels.raw", "r+b") as file:
        file.seek(OFFSETS[k] + stored_image(k).nbytes - 100)
        file.write(bytes(100))


def test_a_half_written_image_is_not_there(store: Store) -> None:
    half_written(store, 3)
    assert Store(store.folder).get(3, IDENTITY) is None
    assert store.get(3, IDENTITY) is None


def test_a_half_written_image_can_be_put_again(store: Store) -> None:
    half_written(store, 3)
    after = Store(store.folder)
    after.put(3, IDENTITY, stored_image(3))
    assert np.array_equal(after.get(3, IDENTITY), stored_image(3))


def at_the_writing_of_pixels(monkeypatch: pytest.MonkeyPatch, look: Callable[[], None]) -> None:
    """Call `look` when half of an image's pixel values are written, in whatever way it is written."""
    write = cache.write

    def halfway(handle: int, data: memoryview, offset: int) -> None:
        write(handle, data[: len(data) // 2], offset)
        look()
        write(handle, data, offset)

    monkeypatch.setattr(cache, "write", halfway)


def test_while_an_image_is_written_it_is_not_there_for_anyone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that has verified the image before does not look at its checksum again."""
    new, found = (7, 8), []
    store.put(3, IDENTITY, stored_image(3))
    other = Store(store.folder)
    assert np.array_equal(other.get(3, IDENTITY), stored_image(3))

    def look() -> None:
        for reader in (store, other, Store(store.folder)):
            found.extend((reader.has(3, identity), reader.get(3, identity)) for identity in (IDENTITY, new))

    at_the_writing_of_pixels(monkeypatch, look)
    store.put(3, new, stored_image(3, 1))
    assert found == [(False, None)] * 6
    for reader in (store, other, Store(store.folder)):
        assert np.array_equal(reader.get(3, new), stored_image(3, 1))


def test_a_crash_while_an_image_is_written_loses_it_and_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash() -> None:
        raise KeyboardInterrupt

    for k in range(5):
        store.put(k, IDENTITY, stored_image(k))
    assert np.array_equal(store.get(3, IDENTITY), stored_image(3))
    with monkeypatch.context() as patch:
        at_the_writing_of_pixels(patch, crash)
        with pytest.raises(KeyboardInterrupt):
            store.put(3, (7, 8), stored_image(3, 1))
    for reader in (store, Store(store.folder)):
        assert [reader.has(k, IDENTITY) for k in range(5)] == [True, True, True, False, True]
        assert reader.get(3, (7, 8)) is None
        for k in (0, 1, 2, 4):
            assert np.array_equal(reader.get(k, IDENTITY), stored_image(k))


def test_a_row_of_the_index_is_written_in_one_piece(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers see it whole or not at all: in one write, in one sector."""
    pwrite, written = os.pwrite, []
    index = os.stat(store.folder / "index").st_ino

    def watched(handle: int, data: bytes, offset: int) -> int:
        if os.fstat(handle).st_ino == index:
            written.append((len(data), offset))
        return pwrite(handle, data, offset)

    monkeypatch.setattr(os, "pwrite", watched)
    store.put(3, IDENTITY, stored_image(3))
    store.put(3, (7, 8), stored_image(3, 1))
    assert written == [(32, 4 * 64 + 32)] * 3  # stored; emptied and stored again


def test_what_is_written_after_it_was_verified_is_verified_again(store: Store) -> None:
    store.put(3, IDENTITY, stored_image(3))
    assert np.array_equal(store.get(3, IDENTITY), stored_image(3))
    half_written(store, 3)
    assert store.get(3, IDENTITY) is None


def test_an_image_is_verified_at_its_first_read_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put(1, IDENTITY, stored_image(1))
    store.put(3, IDENTITY, stored_image(3))
    checksum, verified = cache._checksum, []
    monkeypatch.setattr(
        cache, "_checksum", lambda image, row: verified.append(image.shape) or checksum(image, row)
    )
    for k in (3, 3, 1, 3, 1):
        assert np.array_equal(store.get(k, IDENTITY), stored_image(k))
    assert verified == [(40, 30, 3), (16, 16, 3)]


@pytest.mark.parametrize("byte", [0, 1000, 3599])
def test_a_single_wrong_pixel_value_is_noticed(store: Store, byte: int) -> None:
    store.put(3, IDENTITY, stored_image(3))
    with open(store.folder / "pixels.raw", "r+b") as file:
        file.seek(960 + byte)
        value = file.read(1)[0]
        file.seek(960 + byte)
        file.write(bytes([value ^ 1]))
    assert Store(store.folder).get(3, IDENTITY) is None


def test_the_last_bytes_of_an_image_count_in_its_checksum(store: Store) -> None:
    """An image of 27 bytes: three words of eight, and three bytes."""
    store.put(2, IDENTITY, stored_image(2))
    with open(store.folder / "pixels.raw", "r+b") as file:
        file.seek(896 + 26)
        file.write(bytes([stored_image(2).reshape(-1)[26] ^ 255]))
    assert Store(store.folder).get(2, IDENTITY) is None


def test_pixel_values_without_their_row_in_the_index_are_not_there(store: Store) -> None:
    store.put(3, IDENTITY, stored_image(3))
    with open(store.folder / "index", "r+b") as file:
        file.seek(4 * 64 + 32)
        file.write(bytes(32))
    assert Store(store.folder).get(3, IDENTITY) is None


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: os.truncate(path, 100)])
def test_pixel_values_that_are_gone_or_cut_off_are_not_there_and_can_be_put_again(
    store: Store, spoil: Callable
) -> None:
    store.put(3, IDENTITY, stored_image(3))
    spoil(store.folder / "pixels.raw")
    after = Store(store.folder)
    assert after.get(3, IDENTITY) is None
    after.put(3, IDENTITY, stored_image(3))
    assert np.array_equal(after.get(3, IDENTITY), stored_image(3))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (2, -64), (2, 1 << 59), (3, 64),  # where it is
        (4, 30 << 32 | 40), (4, 1), (4, -1), (4, 1 << 32), (4, (1 << 62) + (1 << 31)),  # height, width
        (7, 0),
    ],
)  # fmt: skip
def test_a_row_that_is_changed_while_it_is_used_reaches_nothing(
    store: Store, column: int, value: int
) -> None:
    store.put(3, IDENTITY, stored_image(3))
    with open(store.folder / "index", "r+b") as file:
        file.seek(4 * 64 + 8 * column)
        file.write(np.int64(value).tobytes())
    assert store.get(3, IDENTITY) is None

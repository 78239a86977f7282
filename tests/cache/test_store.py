import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fastffdi.cache import store as cache
from fastffdi.cache.index import Index
from fastffdi.cache.store import Store, capacities
from fastffdi.data.source import path_digest
from fastffdi.errors import RunError, SettingError

SIZES = np.array([[5, 7], [16, 16], [3, 3], [40, 30], [1, 1]], np.int32)
OFFSETS = (0, 128, 896, 960, 4608)
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


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store for five small images."""
    return made(tmp_path / "store", SIZES)


def test_the_capacity_is_a_whole_number_of_cache_lines() -> None:
    assert capacities(SIZES).tolist() == [128, 768, 64, 3648, 64]
    assert capacities(np.array([[50_000, 50_000]], np.int32)).tolist() == [7_500_000_000]


def test_a_full_store_takes_its_capacity_and_a_row_of_64_bytes_an_image(store: Store) -> None:
    for k in range(5):
        store.put(k, IDENTITY, stored_image(k))
    sizes = {path.name: path.stat().st_size for path in store.folder.iterdir() if path.suffix != ".json"}
    assert sizes == {"pixels.raw": 4672, "index": 64 + 5 * 64}


# Places for more images.


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


# One image.


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


def test_a_store_is_made_once_in_folders_that_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "to" / "be" / "made"
    assert len(Store.make(folder, {})) == 0
    monkeypatch.setattr(cache, "_make", None)
    assert len(Store.make(folder, {"other": 1})) == 0


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


def test_who_loses_the_race_to_make_a_store_takes_the_winners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def beaten(self: Path, target: Path) -> Path:
        shutil.copytree(self, target)
        (target / "winner").touch()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", beaten)
    Store.make(tmp_path / "store", {})
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert (tmp_path / "store" / "winner").exists()


def test_the_description_is_there_for_people(store: Store) -> None:
    meta = json.loads((store.folder / "meta.json").read_text())
    assert meta == {"format": "fastffdi cache 2", "what": "test"}


def test_files_may_be_used_by_whom_the_system_lets(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        store = made(tmp_path / "store", SIZES)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in store.folder.iterdir()} == {0o664}


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


def test_a_store_appears_with_all_it_needs_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after the renaming must not leave an index that the disk has not got."""
    synced, there = set(), []
    fsync, rename = os.fsync, Path.rename
    monkeypatch.setattr(os, "fsync", lambda handle: synced.add(os.fstat(handle).st_ino) or fsync(handle))

    def renamed(part: Path, folder: Path) -> Path:
        there.extend((path.name, path.stat().st_ino in synced) for path in sorted(part.iterdir()))
        return rename(part, folder)

    monkeypatch.setattr(Path, "rename", renamed)
    Store.make(tmp_path / "store", {})
    assert there == [("index", True), ("meta.json", True)]


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (OSError(30, "Read-only file system"), r": cannot be written to \(Read-only file system\); name"),
        (OSError(28, "No space left on device"), ": No space left on device; make room, or name another"),
        (KeyboardInterrupt("Ctrl-C"), "Ctrl-C"),
    ],
)
def test_a_store_that_cannot_be_made_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, line: str
) -> None:
    def fail(part: Path, folder: Path) -> None:
        raise failure

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises((SettingError, RunError, KeyboardInterrupt), match=line):
        Store.make(tmp_path / "store", {})
    assert list(tmp_path.iterdir()) == []


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


def test_reading_opens_no_file_twice_and_writing_leaves_none_open(store: Store) -> None:
    for k in range(5):
        store.put(k, IDENTITY, stored_image(k))
    store.get(0, IDENTITY)
    before = os.listdir("/proc/self/fd")
    for k in range(5):
        store.get(k, IDENTITY)
        store.put(k, IDENTITY, stored_image(k))
    assert os.listdir("/proc/self/fd") == before


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


def test_a_file_of_a_time_that_does_not_fit_is_not_stored(store: Store) -> None:
    """The year 2400 in ns since 1970 takes more than 63 bits."""
    assert not store.put(3, (1, 13_569_465_600 * 10**9), stored_image(3))
    assert store.stored == 0


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=r"cannot be written to \(.*\); name another folder$"):
        Store.make(tmp_path / "file" / "store", {})


def test_a_disk_that_is_nearly_full_takes_a_image_in_parts(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, start: pwrite(handle, bytes(data)[:999], start))
    store.put(3, IDENTITY, stored_image(3))
    assert np.array_equal(store.get(3, IDENTITY), stored_image(3))


def test_many_threads_may_put_and_get(tmp_path: Path) -> None:
    store = made(tmp_path / "store", np.full((50, 2), 24))
    images = [np.random.default_rng(k).integers(0, 256, (24, 24, 3), dtype=np.uint8) for k in range(50)]

    def visit(turn: int) -> bool:
        k = turn * 7 % 50
        found = store.get(k, IDENTITY)
        store.put(k, IDENTITY, images[k])
        return found is None or np.array_equal(found, images[k])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(visit, range(600)))
    assert store.stored == 50


FILL = """
import sys
from pathlib import Path
import numpy as np
from fastffdi.cache.store import Store
print("ready", flush=True)
sys.stdin.readline()
first, last, seed = map(int, sys.argv[2:])
order = np.random.default_rng(seed).permutation(np.arange(first, last))
store = Store.make(Path(sys.argv[1]), {})
paths = np.array([b"image %d" % k for k in order], "S16")
records = store.reserve(paths, np.full((len(order), 2), 16))
for k, record in zip(order.tolist(), records.tolist()):
    store.put(record, (k, k), np.full((16, 16, 3), k, np.uint8))
    print(k, flush=True)
sys.stdin.readline()
"""


def filling(folder: Path, first: int, last: int, seed: int) -> subprocess.Popen:
    """A process that puts some of 200 images into a store, in an order of its own, once it is sent a line."""
    words = [sys.executable, "-c", FILL, str(folder), *map(str, (first, last, seed))]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def whole(folder: Path) -> list[int]:
    """Which of the images are there, each checked."""
    store = Store(folder)
    records = store.reserve(np.array([b"image %d" % k for k in range(200)], "S16"), np.full((200, 2), 16))
    found = [(k, store.get(record, (k, k))) for k, record in enumerate(records.tolist())]
    assert all((image == k).all() for k, image in found if image is not None)
    return [k for k, image in found if image is not None]


def test_two_processes_may_fill_a_store_at_once_from_lists_that_overlap(tmp_path: Path) -> None:
    both = [filling(tmp_path / "store", *part) for part in ((0, 150, 1), (100, 200, 2))]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        process.communicate("\n")
        assert process.returncode == 0
    assert whole(tmp_path / "store") == list(range(200))
    assert len(Store(tmp_path / "store")) == 200
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_killed_process_loses_at_most_the_image_it_was_at(tmp_path: Path) -> None:
    with filling(tmp_path / "store", 0, 200, 3) as process:
        process.stdin.write("\n")
        process.stdin.flush()
        _, *numbers = [process.stdout.readline() for _ in range(60)]
        process.kill()
    there = whole(tmp_path / "store")
    assert {int(line) for line in numbers} <= set(there)
    with filling(tmp_path / "store", 0, 200, 4) as process:
        process.communicate("\n\n")
    assert whole(tmp_path / "store") == list(range(200))

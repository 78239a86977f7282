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
from fastffdi.cache.store import Store, empty_index, total_bytes
from fastffdi.errors import SettingError

SIZES = np.array([[5, 7], [16, 16], [3, 3], [40, 30], [1, 1]], np.int32)
IDENTITY = (1234, 987654321)


def stored_image(k: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([k, seed]).integers(0, 256, (*SIZES[k], 3), dtype=np.uint8)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store for five small images."""
    return Store.make(tmp_path / "store", {"what": "test"}, SIZES)


def test_places_follow_each_other_on_cache_lines_and_overlap_nowhere() -> None:
    index = empty_index(SIZES)
    assert index[:, 0].tolist() == [0] * 5
    assert index[:, 1].tolist() == [0, 128, 896, 960, 4608]
    assert index[:, 2].tolist() == [128, 768, 64, 3648, 64]
    assert not index[:, 3:].any()


@pytest.mark.parametrize("most", [900, 896])  # 896 is what the first two take
def test_no_image_lies_in_two_shards(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SHARD_BYTES", most)
    index = empty_index(SIZES)
    assert index[:, 0].tolist() == [0, 0, 1, 2, 3]
    assert index[:, 1].tolist() == [0, 128, 0, 0, 0]


def test_a_large_store_has_larger_shards_and_hardly_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SHARD_BYTES", 64)
    index = empty_index(np.full((10_000, 2), 4))
    assert np.bincount(index[:, 0]).max() == 39
    assert index[-1, 0] == cache.SHARDS


def test_the_total_is_what_a_full_store_takes(store: Store) -> None:
    for k in range(5):
        store.put(k, IDENTITY, stored_image(k))
    apparent = sum(path.stat().st_size for path in store.folder.iterdir() if path.suffix != ".json")
    assert total_bytes(SIZES) == apparent == 4672 + 5 * 64


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


def test_making_a_store_that_is_there_opens_it_whatever_the_sizes(store: Store) -> None:
    store.put(1, IDENTITY, stored_image(1))
    again = Store.make(store.folder, {"what": "test"}, SIZES + 9)
    assert np.array_equal(again.get(1, IDENTITY), stored_image(1))


def test_a_store_is_made_once_in_folders_that_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "to" / "be" / "made"
    assert len(Store.make(folder, {}, SIZES)) == 5
    monkeypatch.setattr(cache, "_make", None)
    assert len(Store.make(folder, {}, SIZES)) == 5


def test_an_image_may_have_more_than_two_thousand_million_pixels() -> None:
    assert empty_index(np.array([[50_000, 50_000]], np.int32))[0, 2] == 7_500_000_000


def test_who_loses_the_race_to_make_a_store_takes_the_winners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def beaten(self: Path, target: Path) -> Path:
        shutil.copytree(self, target)
        (target / "winner").touch()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", beaten)
    Store.make(tmp_path / "store", {}, SIZES)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert (tmp_path / "store" / "winner").exists()


def test_the_description_is_there_for_people(store: Store) -> None:
    meta = json.loads((store.folder / "meta.json").read_text())
    assert meta == {"format": "fastffdi cache 1", "what": "test", "images": 5, "bytes": 4672}


def test_shards_may_be_used_by_whom_the_system_lets(store: Store) -> None:
    before = os.umask(0o002)
    try:
        store.put(0, IDENTITY, np.zeros((*SIZES[0], 3), np.uint8))
    finally:
        os.umask(before)
    assert (store.folder / "shard-00000.raw").stat().st_mode & 0o777 == 0o664


def test_what_is_missing_shrinks_as_the_store_fills(tmp_path: Path) -> None:
    store = Store.make(tmp_path / "store", {}, np.full((4, 2), 128))
    before = store.missing_bytes
    store.put(0, IDENTITY, np.full((128, 128, 3), 7, np.uint8))
    assert before == 4 * 128 * 128 * 3
    with open(store.folder / "shard-00000.raw") as file:
        os.fsync(file.fileno())
    assert store.missing_bytes == 3 * 128 * 128 * 3


def test_of_a_full_store_nothing_is_missing_though_the_disk_counts_in_blocks(store: Store) -> None:
    for k in range(5):
        store.put(k, IDENTITY, stored_image(k))
    with open(store.folder / "shard-00000.raw") as file:
        os.fsync(file.fileno())
    assert store.missing_bytes == 0


def half_written(store: Store, k: int) -> None:
    """As after a power cut: the index knows the image, whose last levels have not reached the disk."""
    store.put(k, IDENTITY, stored_image(k))
    start = int(empty_index(SIZES)[k, 1])
    with open(store.folder / "shard-00000.raw", "r+b") as file:
        file.seek(start + stored_image(k).nbytes - 100)
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
    write = cache._write

    def halfway(handle: int, data: np.ndarray, offset: int) -> None:
        write(handle, data[: len(data) // 2], offset)
        look()
        write(handle, data, offset)

    monkeypatch.setattr(cache, "_write", halfway)


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
    monkeypatch.setattr(cache, "_checksum", lambda image: verified.append(image.shape) or checksum(image))
    for k in (3, 3, 1, 3, 1):
        assert np.array_equal(store.get(k, IDENTITY), stored_image(k))
    assert verified == [(40, 30, 3), (16, 16, 3)]


@pytest.mark.parametrize("byte", [0, 1000, 3599])
def test_a_single_wrong_pixel_value_is_noticed(store: Store, byte: int) -> None:
    store.put(3, IDENTITY, stored_image(3))
    with open(store.folder / "shard-00000.raw", "r+b") as file:
        file.seek(960 + byte)
        value = file.read(1)[0]
        file.seek(960 + byte)
        file.write(bytes([value ^ 1]))
    assert Store(store.folder).get(3, IDENTITY) is None


def test_the_last_bytes_of_an_image_count_in_its_checksum(store: Store) -> None:
    """An image of 27 bytes: three words of eight, and three bytes."""
    store.put(2, IDENTITY, stored_image(2))
    with open(store.folder / "shard-00000.raw", "r+b") as file:
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
    Store.make(tmp_path / "store", {}, SIZES)
    assert there == [("index", True), ("meta.json", True)]


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (OSError(28, "No space left on device"), r"cannot be written to \(No space left on device\)"),
        (KeyboardInterrupt("Ctrl-C"), "Ctrl-C"),
    ],
)
def test_a_store_that_cannot_be_made_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, line: str
) -> None:
    def fail(part: Path, folder: Path) -> None:
        raise failure

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises((SettingError, KeyboardInterrupt), match=line):
        Store.make(tmp_path / "store", {}, SIZES)
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
    assert written == [(40, 3 * 64 + 24)] * 3  # stored; emptied and stored again


def test_reading_opens_no_file_twice_and_writing_leaves_none_open(store: Store) -> None:
    for k in range(5):
        store.put(k, IDENTITY, stored_image(k))
    store.get(0, IDENTITY)
    before = os.listdir("/proc/self/fd")
    for k in range(5):
        store.get(k, IDENTITY)
        store.put(k, IDENTITY, stored_image(k))
    assert os.listdir("/proc/self/fd") == before
    assert len(store._shards) == 1


def test_images_of_several_shards_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SHARD_BYTES", 900)
    store = Store.make(tmp_path / "store", {}, SIZES)
    for k in range(5):
        store.put(k, IDENTITY, stored_image(k))
    sizes = {path.name: path.stat().st_size for path in store.folder.glob("*.raw")}
    assert sizes == {f"shard-0000{k}.raw": size for k, size in enumerate((896, 64, 3648, 64))}
    for reader in (store, Store(store.folder)):
        assert all(np.array_equal(reader.get(k, IDENTITY), stored_image(k)) for k in range(5))
        assert reader.missing_bytes <= 4672


def test_levels_without_their_row_in_the_index_are_not_there(store: Store) -> None:
    store.put(3, IDENTITY, stored_image(3))
    with open(store.folder / "index", "r+b") as file:
        file.write(empty_index(SIZES).tobytes())
    assert Store(store.folder).get(3, IDENTITY) is None


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: os.truncate(path, 100)])
def test_a_shard_that_is_gone_or_short_has_no_images_and_is_made_again(store: Store, spoil: Callable) -> None:
    store.put(3, IDENTITY, stored_image(3))
    spoil(store.folder / "shard-00000.raw")
    after = Store(store.folder)
    assert after.get(3, IDENTITY) is None
    after.put(3, IDENTITY, stored_image(3))
    assert np.array_equal(after.get(3, IDENTITY), stored_image(3))


@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda path: os.truncate(path, 100), lambda path: os.truncate(path, 0)]
)
def test_a_damaged_index_is_refused(store: Store, spoil: Callable) -> None:
    spoil(store.folder / "index")
    line = f"^--cache {store.folder.parent}: the index of store cannot be read"
    with pytest.raises(SettingError, match=line):
        Store(store.folder)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=r"cannot be written to \(.*\); name another folder$"):
        Store.make(tmp_path / "file" / "store", {}, SIZES)


def test_a_disk_that_is_nearly_full_takes_a_image_in_parts(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, start: pwrite(handle, bytes(data)[:999], start))
    store.put(3, IDENTITY, stored_image(3))
    assert np.array_equal(store.get(3, IDENTITY), stored_image(3))


def test_many_threads_may_put_and_get(tmp_path: Path) -> None:
    store = Store.make(tmp_path / "store", {}, np.full((50, 2), 24))
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
store = Store.make(Path(sys.argv[1]), {}, np.full((200, 2), 16))
print("ready", flush=True)
sys.stdin.readline()
for k in np.random.default_rng(int(sys.argv[2])).permutation(200).tolist():
    store.put(k, (k, k), np.full((16, 16, 3), k, np.uint8))
    print(k, flush=True)
sys.stdin.readline()
"""


def filling(folder: Path, seed: int) -> subprocess.Popen:
    """A process that fills a store once it is sent a line."""
    words = [sys.executable, "-c", FILL, str(folder), str(seed)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def whole(store: Store) -> list[int]:
    """Which of the images are there, each checked."""
    found = [(k, store.get(k, (k, k))) for k in range(200)]
    assert all((image == k).all() for k, image in found if image is not None)
    return [k for k, image in found if image is not None]


def test_two_processes_may_fill_a_store_at_once(tmp_path: Path) -> None:
    both = [filling(tmp_path / "store", seed) for seed in (1, 2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        process.communicate("\n")
        assert process.returncode == 0
    assert whole(Store(tmp_path / "store")) == list(range(200))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_killed_process_loses_at_most_the_image_it_was_at(tmp_path: Path) -> None:
    with filling(tmp_path / "store", 3) as process:
        process.stdin.write("\n")
        process.stdin.flush()
        _, *numbers = [process.stdout.readline() for _ in range(60)]
        process.kill()
    there = whole(Store(tmp_path / "store"))
    assert {int(line) for line in numbers} <= set(there)
    with filling(tmp_path / "store", 4) as process:
        process.communicate("\n\n")
    assert whole(Store(tmp_path / "store")) == list(range(200))

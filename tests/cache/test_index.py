import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastffdi.cache import index as module
from fastffdi.cache.index import HEADER, Index
from fastffdi.cache.store import Store
from fastffdi.errors import SettingError

PATHS = np.array([bytes([k]) * 16 for k in (9, 3, 7, 1, 5)], "S16")
SIZES = np.array([[5, 7], [16, 16], [3, 3], [40, 30], [1, 1]])
IMAGES = [np.random.default_rng(k).integers(0, 256, (*size, 3), np.uint8) for k, size in enumerate(SIZES)]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """Five images' places."""
    (tmp_path / "index").write_bytes(HEADER)
    index = Index(tmp_path / "index")
    appended(index, PATHS, np.array([128, 768, 64, 3648, 64]))
    return index


def appended(index: Index, paths: np.ndarray, capacity: np.ndarray) -> None:
    with index.locked() as handle:
        index.append(handle, paths, capacity)
    index.load()


def test_places_follow_each_other_and_overlap_nowhere(index: Index) -> None:
    assert index.rows[:, 2].tolist() == [0, 128, 896, 960, 4608]
    assert index.rows[:, 3].tolist() == [128, 768, 64, 3648, 64]
    assert not index.rows[:, 4:].any()
    assert index.end == 4672


def test_images_are_found_by_their_paths(index: Index) -> None:
    asked = np.array(
        [b"\x07" * 16, b"\x00" * 16, b"\xff" * 16, b"\x09" * 16, b"\x06" * 16, b"\x09" * 15], "S16"
    )
    assert index.find(asked).tolist() == [2, -1, -1, 0, -1, -1]
    assert index.capacity(asked).tolist() == [64, 0, 0, 128, 0, 0]
    assert index.find(asked[:0]).tolist() == []


def test_in_an_empty_index_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(HEADER)
    index = Index(tmp_path / "index")
    assert (index.find(PATHS) == -1).all()
    assert (index.capacity(PATHS) == 0).all()
    assert index.end == 0


def test_the_last_place_of_a_path_counts(index: Index) -> None:
    appended(index, PATHS[[1, 4]], np.array([1024, 128]))
    assert index.find(PATHS).tolist() == [0, 5, 2, 3, 6]
    assert index.rows[5:, 2].tolist() == [4672, 5696]


def test_a_half_of_a_row_is_written_at_once_and_seen_by_all(index: Index) -> None:
    other = Index(index.path)
    index.fill(3, np.arange(1, 5).tobytes())
    for reader in (index, other):
        assert reader.rows[3].tolist()[2:] == [960, 3648, 1, 2, 3, 4]
        assert not reader.rows[[0, 1, 2, 4], 4:].any()


def test_a_second_process_waits_for_the_lock(index: Index) -> None:
    from fcntl import LOCK_EX, LOCK_NB, flock

    with index.locked(), open(index.path, "rb+") as file, pytest.raises(BlockingIOError):
        flock(file, LOCK_EX | LOCK_NB)
    with open(index.path, "rb+") as file:
        flock(file, LOCK_EX | LOCK_NB)


@pytest.mark.parametrize("torn", [bytes(1), bytes(63), b"\x07" * 40])
def test_a_row_that_was_not_completed_is_dropped(index: Index, torn: bytes) -> None:
    with open(index.path, "ab") as file:
        file.write(torn)
    index.load()
    assert len(index.rows) == 5
    appended(index, PATHS[:1], np.array([640]))
    assert index.rows[5].tolist()[2:] == [4672, 640, 0, 0, 0, 0]
    assert index.path.stat().st_size == 7 * 64


def test_rows_that_never_reached_the_disk_are_passed_over(index: Index) -> None:
    """As after a power cut, when the file's length has and its end has not."""
    os.truncate(index.path, 3 * 64)
    os.truncate(index.path, 6 * 64)
    index.load()
    assert index.find(PATHS).tolist() == [0, 1, -1, -1, -1]
    assert index.find(np.zeros(1, "S16")).tolist() == [-1]
    appended(index, PATHS[2:], np.array([64, 3648, 64]))
    assert index.find(PATHS).tolist() == [0, 1, 5, 6, 7]
    assert index.rows[5:, 2].tolist() == [896, 960, 4608]


def written(path: Path, row: int, column: int, value: int) -> None:
    with open(path, "r+b") as file:
        file.seek(64 * (row + 1) + 8 * column)
        file.write(np.int64(value).tobytes())


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        (2, -64, "it has impossible places"),
        (2, 1 << 60, "it has impossible places"),
        (2, 961, "it has impossible places"),
        (3, -64, "it has impossible places"),
        (3, 1 << 40, "it has impossible places"),
        (3, 3649, "it has impossible places"),
        (2, 896, "it has places that overlap"),
        (2, 4608, "it has places that overlap"),
        (3, 3712, "it has places that overlap"),
    ],
)
def test_impossible_places_are_refused(index: Index, column: int, value: int, problem: str) -> None:
    written(index.path, 3, column, value)
    line = f"^--cache {index.path.parents[1]}: the index of {index.path.parent.name} cannot be read "
    with pytest.raises(SettingError, match=rf"{line}\({problem}\); remove that folder, or name another one$"):
        index.load()


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (Path.unlink, "there is no such file"),
        (make_pipe, "there is no such file"),
        (lambda path: os.truncate(path, 0), "it does not begin with 'fastffdi cache 2'"),
        (lambda path: os.truncate(path, 63), "it does not begin with"),
        (lambda path: path.write_bytes(b"fastffdi cache 1".ljust(6400, b"\0")), "it does not begin with"),
        (lambda path: os.truncate(path, 1 << 40), "it is too long"),
    ],
)
def test_what_is_no_index_is_refused(index: Index, spoil: Callable, problem: str) -> None:
    spoil(index.path)
    with pytest.raises(SettingError, match=rf"cannot be read \({problem}.*\); remove that folder"):
        index.load()


def test_a_disk_that_is_nearly_full_takes_bytes_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, start: pwrite(handle, bytes(data)[:99], start))
    with open(tmp_path / "file", "wb") as file:
        module.write(file.fileno(), memoryview(bytes(range(250)) * 3), 7)
    assert (tmp_path / "file").read_bytes() == bytes(7) + bytes(range(250)) * 3


# Damage of any kind.

SPANS = st.tuples(st.integers(0, 384), st.binary(min_size=1, max_size=64))
CUTS = st.integers(0, 450)
INDEXES = st.one_of(
    st.tuples(st.lists(SPANS, max_size=3), CUTS),
    st.tuples(
        st.lists(
            st.tuples(
                st.integers(64 // 8, 383 // 8).map(lambda word: 8 * word),
                st.one_of(
                    st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-2, 80).map(lambda n: 64 * n)
                ).map(lambda n: n.to_bytes(8, "little", signed=True)),
            ),
            min_size=1,
            max_size=4,
        ),
        st.just(384),
    ),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=INDEXES)
def test_a_damaged_index_is_refused_or_gives_the_right_images_and_takes_what_is_missing(
    damage: tuple[list[tuple[int, bytes]], int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cache") / "store"
    store = Store.make(folder, {})
    store.reserve(PATHS, SIZES)
    for k, image in enumerate(IMAGES):
        store.put(k, (k, k), image)
    spans, length = damage
    with open(folder / "index", "r+b") as file:
        for start, data in spans:
            file.seek(start)
            file.write(data)
        file.truncate(length)
    try:
        damaged = Store(folder)
        records = damaged.reserve(PATHS, SIZES).tolist()
    except SettingError:
        return
    put = []
    for k, (record, image) in enumerate(zip(records, IMAGES, strict=True)):
        found = damaged.get(record, (k, k))
        assert found is None or np.array_equal(found, image)
        with suppress(OSError):  # a place beyond what the disk's files can have
            put.append(damaged.put(record, (k, k), image) and k)
    for k in put:
        assert np.array_equal(Store(folder).get(records[k], (k, k)), IMAGES[k])

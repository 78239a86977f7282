import errno
import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from fastffdi.cache.folder import KeptStore, free_bytes, key, readable_bytes, stores
from fastffdi.cache.store import Store
from fastffdi.errors import RunError, SettingError

Disk = namedtuple("Disk", "total used free")


def test_the_key_is_a_function_of_the_description() -> None:
    assert key({"a": 1, "b": [2, 3]}) == key({"b": [2, 3], "a": 1})
    assert len({key({"a": 1}), key({"a": 2}), key({"b": 1}), key({})}) == 4
    assert len(key({})) == 32


@pytest.mark.parametrize(
    ("total", "free", "left"),
    [(1 << 40, 1 << 39, (1 << 39) - (1 << 30)), (1000, 100, 50), (1000, 10, -40)],
)
def test_a_reserve_is_kept_free(
    total: int, free: int, left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(total, total - free, free))
    assert free_bytes(tmp_path) == left


def test_the_disk_of_a_folder_that_is_not_there_yet_is_its_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or Disk(100, 0, 100))
    free_bytes(tmp_path / "to" / "be" / "made")
    assert asked == [tmp_path]


# Stores.

NAMES = [key({"steps": [k]}) for k in range(3)]
MAKERS = {"rendering": 2, "machine": "this"}
RESIZE = {"resize": {"size": [64, 64]}}


def made(folder: Path, name: str = NAMES[0], **meta: object) -> KeptStore:
    """A store with one of two images in it."""
    store = Store.make(folder / name, {"steps": [RESIZE, "grayscale"], "by": MAKERS, **meta})
    store.reserve(np.array([b"0", b"1"], "S16"), np.full((2, 2), 64))
    store.put(0, (1, 1), np.full((64, 64, 3), 9, np.uint8))
    (found,) = (kept for kept in stores(folder) if kept.path.name == name)
    return found


def foreign(path: Path, text: str) -> None:
    path.mkdir()
    (path / "meta.json").write_text(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"format": "other"}', "[]", "{", "", "[" * 60_000, '{"format": 3}', "\x00\x00",
        json.dumps({"format": "fastffdi cache 2", "much": "x" * 70_000}),
    ],
)  # fmt: skip
def test_what_does_not_say_so_is_no_store(text: str, tmp_path: Path) -> None:
    made(tmp_path)
    foreign(tmp_path / NAMES[1], text)
    assert [store.path for store in stores(tmp_path)] == [tmp_path / NAMES[0]]


def test_what_is_not_called_as_a_store_is_none(tmp_path: Path) -> None:
    unfinished = f".{NAMES[1]}.0123abcd.part"
    for name in ("mine", "0" * 31, "G" * 32, unfinished, NAMES[0]):
        foreign(tmp_path / name, '{"format": "fastffdi cache 1"}')
    assert [store.path.name for store in stores(tmp_path)] == sorted([unfinished, NAMES[0]])


def test_links_and_pipes_are_no_stores(tmp_path: Path) -> None:
    kept, elsewhere = tmp_path / "kept", tmp_path / "elsewhere"
    kept.mkdir()
    store = made(elsewhere)
    (kept / NAMES[0]).symlink_to(store.path)
    for name in NAMES[1:]:
        (kept / name).mkdir()
    (kept / NAMES[1] / "meta.json").symlink_to(store.path / "meta.json")
    os.mkfifo(kept / NAMES[2] / "meta.json")
    assert stores(kept) == []


def test_of_a_folder_that_is_not_there_there_are_none(tmp_path: Path) -> None:
    assert stores(tmp_path / "nowhere") == []


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        SettingError, match=rf"^--cache {tmp_path}/file: cannot be read \(Not a directory\); "
    ):
        stores(tmp_path / "file")


def test_a_store_says_what_it_holds(tmp_path: Path) -> None:
    store = made(tmp_path)
    os.sync()
    size = readable_bytes(store.bytes)
    assert 2 * 64 * 64 * 3 > store.bytes >= 64 * 64 * 3
    line = f"{store.path}: {size}, 1 image after resize: {{size: [64, 64]}}, grayscale"
    assert store.told(MAKERS) == line
    assert store.told({"machine": "other"}) == f"{line}, of another version or kind of machine"
    assert store.usable(MAKERS)
    assert not store.usable({})


def test_an_older_format_is_of_no_use(tmp_path: Path) -> None:
    foreign(tmp_path / NAMES[0], json.dumps({"format": "fastffdi cache 1", "steps": [RESIZE], "by": MAKERS}))
    (store,) = stores(tmp_path)
    assert not store.usable(MAKERS)
    assert store.told(MAKERS).endswith(
        "images after resize: {size: [64, 64]}, of another version or kind of machine"
    )


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([], "as they are decoded"),
        (None, "as they are decoded"),
        ("\x1b[31m", "as they are decoded"),
        (["\x1b[31m", {"a": "\u202e\n"}], "after \\u001b[31m, a: \\u202e\\n"),
    ],
)
def test_what_stands_in_a_file_reaches_the_terminal_in_ascii(
    steps: object, said: str, tmp_path: Path
) -> None:
    assert made(tmp_path, steps=steps).told(MAKERS).endswith(f"1 image {said}")


def test_removing_removes_the_files_of_a_store_and_nothing_else(tmp_path: Path) -> None:
    store = made(tmp_path)
    outside = tmp_path / "outside.raw"
    outside.write_bytes(b"mine")
    (store.path / "shard-00000.raw").symlink_to(outside)
    store.remove()
    assert not store.path.exists()
    assert outside.read_bytes() == b"mine"
    other = made(tmp_path)
    for name in ("shard-00001.raw", ".index.abc123.part", "mine.txt", "index.bak"):
        (other.path / name).touch()
    (other.path / "folder").mkdir()
    other.remove()
    assert sorted(path.name for path in other.path.iterdir()) == ["folder", "index.bak", "mine.txt"]


def test_what_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = made(tmp_path)

    def refused(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    line = rf"^--cache {tmp_path}: {store.path}/\w+(.raw)? cannot be removed \(Permission denied\);"
    with pytest.raises(RunError, match=line):
        store.remove()


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (98_304_000_000, "98.3 GB"),
        (41_200_000, "41.2 MB"),
        (10**9, "1.0 GB"),
        (0, "0.0 MB"),
        (2e12, "2,000.0 GB"),
    ],
)
def test_amounts_are_said_as_people_say_them(count: int, said: str) -> None:
    assert readable_bytes(count) == said

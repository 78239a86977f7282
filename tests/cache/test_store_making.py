"""How a store is made: once, with all it needs on the disk, or not at all."""

import json
import os
import shutil
from pathlib import Path

import pytest
from stored_images import SIZES, made

from fastffdi.cache import store as cache
from fastffdi.cache.store import Store
from fastffdi.errors import RunError, SettingError


def test_a_store_is_made_once_in_folders_that_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "to" / "be" / "made"
    assert len(Store.make(folder, {})) == 0
    monkeypatch.setattr(cache, "_make", None)
    assert len(Store.make(folder, {"other": 1})) == 0


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


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=r"cannot be written to \(.*\); name another folder$"):
        Store.make(tmp_path / "file" / "store", {})

import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from fastffdi.cache.folder import clear, free_bytes, key, readable_bytes, stores
from fastffdi.cache.store import Store

Disk = namedtuple("Disk", "total used free")
SIZES = np.full((2, 2), 64)


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


def test_only_stores_are_found(tmp_path: Path) -> None:
    Store.make(tmp_path / "store", {})
    for name, text in (("other", '{"format": "other"}'), ("list", "[]"), ("broken", "{")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "meta.json").write_text(text)
    (tmp_path / "images").mkdir()
    assert stores(tmp_path) == [tmp_path / "store"]
    assert stores(tmp_path / "nowhere") == []


def test_clearing_removes_stores_and_nothing_else(tmp_path: Path) -> None:
    for name in ("one", ".two.1234.part"):
        store = Store.make(tmp_path / name, {})
        store.reserve(np.array([b"0", b"1"], "S16"), SIZES)
        store.put(0, (1, 1), np.full((64, 64, 3), 9, np.uint8))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "meta.json").write_text(json.dumps({"format": "mine"}))
    os.sync()
    assert clear(tmp_path) >= 2 * 64 * 64 * 3
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


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

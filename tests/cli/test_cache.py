import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from fastffdi.cache import decoder
from fastffdi.cache.folder import stores
from fastffdi.cache.store import Store
from fastffdi.cli import main
from fastffdi.data.source import FileSource
from fastffdi.loaders.settings import default_threads

Disk = namedtuple("Disk", "total used free")


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    monkeypatch.setitem(main.COMMANDS, "cache", ("cache", ""))


@pytest.fixture
def words(tiny: Path, tmp_path: Path) -> list[object]:
    """`fastffdi cache` for the tiny images."""
    recipe = ["--pipeline", tiny / "recipe.yaml", "--backbone", "test_efficientnet"]
    return ["cache", "--data", tiny, *recipe, "--cache", tmp_path / "kept", "--threads", 2]


def test_it_says_how_much_and_stores_all_images(fastffdi, words, tiny, tmp_path):
    code, out, err = fastffdi(*words, "--cache", tmp_path / "kept it")
    assert (code, err.splitlines()[1:]) == (0, ["cache: 0.2 MB for 56 images of 32×32, 0 stored"])
    kept = tmp_path / "kept it"
    assert out == f"56 images in {kept}; next: fastffdi train … --cache '{kept}'\n"
    assert [Store(store).stored for store in stores(kept)] == [56]


@pytest.mark.parametrize("threads", [1, 3, None])
def test_threads_are_those_asked_for_or_the_default(fastffdi, words, monkeypatch, threads):
    seen, fill = [], decoder.fill

    def spy(store, manifest, prefix, threads, *others):
        seen.append(threads)
        return fill(store, manifest, prefix, threads, *others)

    monkeypatch.setattr(decoder, "fill", spy)
    given = () if threads is None else ("--threads", threads)
    assert fastffdi(*words[:-2], *given).code == 0
    assert seen == [threads or default_threads()] * 2


def test_a_second_time_there_is_nothing_to_do(fastffdi, words, monkeypatch):
    fastffdi(*words)
    monkeypatch.setattr("fastffdi.render.cpu.decode.decode_path", None)
    code, _, err = fastffdi(*words)
    assert code == 0
    assert "56 stored" in err


def test_a_disk_without_room_is_refused_after_the_estimate(fastffdi, words, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(10**12, 0, 10))
    code, out, err = fastffdi(*words)
    _, estimate, error = err.splitlines()
    assert (code, out) == (2, "")
    assert estimate.startswith("cache: 0.2 MB for 56 images")
    assert error.startswith(f"fastffdi: --cache {tmp_path / 'kept'}: needs 0.2 MB for 56 images of 32×32, ")
    assert not (tmp_path / "kept").exists()


def test_images_that_change_meanwhile_are_counted(fastffdi, words, tiny, tmp_path, monkeypatch):
    data, read = tmp_path / "data", FileSource.read
    shutil.copytree(tiny, data)
    words[2] = data

    def changing(self, path):
        if path.endswith(("trainset/07.jpg", "valset/03.jpg")):
            os.utime(path, ns=(1, 1))
        return read(self, path)

    monkeypatch.setattr(FileSource, "read", changing)
    code, out, err = fastffdi(*words)
    assert (code, out[:10]) == (0, "54 images ")
    assert "2 of them changed meanwhile and are not stored; the same command stores them" in err
    code, out, err = fastffdi(*words)
    assert (code, out[:10], "meanwhile" in err) == (0, "56 images ", False)


def test_clearing_removes_the_stores_and_says_how_much(fastffdi, words, tmp_path):
    fastffdi(*words)
    (tmp_path / "kept" / "mine.txt").touch()
    code, out, err = fastffdi("cache", "--cache", tmp_path / "kept", "--clear")
    assert (code, err) == (0, "")
    assert out.startswith(f"1 store removed from {tmp_path / 'kept'}, 0.")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["mine.txt"]


def test_clearing_nothing_is_no_error(fastffdi, tmp_path):
    code, out, _ = fastffdi("cache", "--cache", tmp_path / "nowhere", "--clear")
    assert (code, out) == (0, f"0 stores removed from {tmp_path / 'nowhere'}, 0.0 MB\n")


def test_the_folder_must_be_named(fastffdi):
    code, _, err = fastffdi("cache")
    assert code == 2
    assert "--cache" in err

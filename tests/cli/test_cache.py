import errno
import os
import shutil
import signal
import time
from collections import namedtuple
from pathlib import Path

import pytest

from fastffdi.cache import filling
from fastffdi.cache.folder import stores
from fastffdi.cache.store import Store
from fastffdi.cli import main
from fastffdi.data.source import FileSource
from fastffdi.loaders.settings import default_threads

RESIZED = "resize: {size: [32, 32], interpolation: bilinear, max_size: null}"
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
    assert [Store(store.path).stored for store in stores(kept)] == [56]


@pytest.mark.parametrize("threads", [1, 3, None])
def test_threads_are_those_asked_for_or_the_default(fastffdi, words, monkeypatch, threads):
    seen, fill = [], filling.fill

    def spy(store, manifest, prefix, threads, *others):
        seen.append(threads)
        return fill(store, manifest, prefix, threads, *others)

    monkeypatch.setattr(filling, "fill", spy)
    given = () if threads is None else ("--threads", threads)
    assert fastffdi(*words[:-2], *given).code == 0
    assert seen == [threads or default_threads()] * 2


def test_a_second_time_there_is_nothing_to_do(fastffdi, words, monkeypatch):
    fastffdi(*words)
    monkeypatch.setattr("fastffdi.render.cpu.decode.decode_path", None)
    code, _, err = fastffdi(*words)
    assert code == 0
    assert "56 stored" in err


def test_a_disk_that_gets_full_ends_it_with_one_line(fastffdi, words, tmp_path, monkeypatch):
    put, puts = Store.put, []

    def refused(self, *record):
        puts.append(record)
        if len(puts) > 9:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return put(self, *record)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", refused)
        code, out, err = fastffdi(*words, "--threads", 1)
    kept = tmp_path / "kept"
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == (
        f"fastffdi: --cache {kept}: No space left on device; kept 9 of 56 images, the rest needs 0.1 MB: "
        f"make room (fastffdi cache --cache {kept} --list names stores) and repeat the command"
    )
    assert "56 images of 32×32, 9 stored" in fastffdi(*words).err


def test_ctrl_c_ends_it_soon_and_the_next_run_goes_on(fastffdi, words, monkeypatch):
    read, opened = FileSource.read, []

    def slow(self, path):
        opened.append(path)
        if len(opened) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1 if len(opened) < 9 else 0)
        return read(self, path)

    monkeypatch.setattr(FileSource, "read", slow)
    code, out, err = fastffdi(*words)
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == f"interrupted; kept {len(opened)} of 56 images; the same command goes on"
    assert 5 <= len(opened) <= 8
    code, out, _ = fastffdi(*words)
    assert (code, out[:10]) == (0, "56 images ")
    assert len(opened) == len({*opened}) == 56


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


def older(folder: Path) -> Path:
    """A store of the format before this one."""
    store = folder / ("0" * 32)
    store.mkdir(parents=True)
    (store / "meta.json").write_text('{"format": "fastffdi cache 1", "steps": ["grayscale"]}')
    (store / "shard-00000.raw").write_bytes(bytes(100_000))
    os.sync()
    return store


def test_stores_of_another_version_are_named_with_their_size(fastffdi, words, tmp_path):
    kept = tmp_path / "kept"
    store = older(kept)
    line = (
        f"cache: stores of another version or kind of machine in {kept}, not used here: {store.name} "
        f"(0.1 MB); fastffdi cache --cache {kept} --list says what they hold, --clear removes all stores"
    )
    assert fastffdi(*words).err.splitlines()[2:] == [line]
    for k in range(1, 5):
        shutil.copytree(store, store.with_name(str(k) * 32))
    assert f"{'2' * 32} (0.1 MB) and 2 more; " in fastffdi(*words).err


def test_listing_says_what_each_store_holds(fastffdi, words, tmp_path):
    kept = tmp_path / "kept"
    store = older(kept)
    fastffdi(*words)
    (ours,) = (found.path for found in stores(kept) if found.path != store)
    code, out, err = fastffdi("cache", "--cache", kept, "--list")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{store}: 0.1 MB, images after grayscale, of another version or kind of machine",
        f"{ours}: 0.2 MB, 56 images after {RESIZED}",
        f"2 stores in {kept}, 0.3 MB",
    ]
    assert len(stores(kept)) == 2


def test_clearing_says_how_large_each_store_is_and_removes_stores_only(fastffdi, words, tmp_path):
    fastffdi(*words)
    kept = tmp_path / "kept"
    (store,) = stores(kept)
    store.path.with_name("mine.txt").touch()
    code, out, err = fastffdi("cache", "--cache", kept, "--clear")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{store.path}: 0.2 MB, 56 images after {RESIZED}",
        f"1 store removed from {kept}, 0.2 MB",
    ]
    assert [path.name for path in kept.iterdir()] == ["mine.txt"]


def test_other_files_in_a_store_stay(fastffdi, words, tmp_path):
    fastffdi(*words)
    (store,) = stores(tmp_path / "kept")
    (store.path / "mine.txt").touch()
    out = fastffdi("cache", "--cache", tmp_path / "kept", "--clear").out
    assert f"{store.path} holds other files, and stays" in out.splitlines()
    assert [path.name for path in store.path.iterdir()] == ["mine.txt"]


def test_listing_and_clearing_exclude_each_other(fastffdi, tmp_path):
    code, _, err = fastffdi("cache", "--cache", tmp_path, "--clear", "--list")
    assert (code, err) == (2, "fastffdi: --list and --clear: give one of the two\n")


@pytest.mark.parametrize("seed", [0, 7])
def test_with_a_limit_the_images_of_training_with_that_limit_are_kept(
    fastffdi, words, tmp_path, monkeypatch, seed
):
    limited = ("--limit", 10, "--seed", seed)
    code, out, err = fastffdi(*words, *limited)
    assert (code, out[:10]) == (0, "20 images ")
    assert "40 images (20 real, 20 fake), validation 16 images (8 real, 8 fake); limited to 10 and 10" in err
    train = ["train", *words[1:], *limited, "--epochs", 1, "--no-pretrained", "--amp", "off"]
    monkeypatch.setattr("fastffdi.render.cpu.decode.decode_path", None)
    code, _, err = fastffdi(*train, "-o", tmp_path / "run")
    assert code == 0, err
    assert "cache: 0.1 MB for 20 images of 32×32, 20 stored" in err


def test_a_larger_limit_decodes_the_rest(fastffdi, words, monkeypatch):
    fastffdi(*words, "--limit", 10)
    opened, read = [], FileSource.read
    monkeypatch.setattr(FileSource, "read", lambda self, path: opened.append(path) or read(self, path))
    assert "24 images of 32×32, 20 stored" in fastffdi(*words, "--limit", 12).err
    assert len(opened) == 4
    fastffdi(*words)
    assert len(opened) == 36
    assert len({*opened}) == 36


def test_clearing_nothing_is_no_error(fastffdi, tmp_path):
    code, out, _ = fastffdi("cache", "--cache", tmp_path / "nowhere", "--clear")
    assert (code, out) == (0, f"0 stores removed from {tmp_path / 'nowhere'}, 0.0 MB\n")


def test_the_folder_must_be_named(fastffdi):
    code, _, err = fastffdi("cache")
    assert code == 2
    assert "--cache" in err

"""The demo set: portraits and forgeries of them, written in the challenge's layout.

    FOLDER/trainset/*.jpg   trainset_label.txt   `img_name,target`, 1 = fake
    FOLDER/valset/*.jpg     valset_label.txt

Both images of a pair (see forgery.py) lie in the same split. The label files are written last: a folder
without them was not finished.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fastffdi.demo.forgery import make_pair
from fastffdi.errors import DataError
from fastffdi.files import atomic, cache_folder

Progress = Callable[[int, int], None]
_VERSION = "demo-v2"  # raise it when the images change, so that nobody goes on with old ones
_SPLITS = ("train", "val")


def write_demo(
    folder: Path, train: int = 600, val: int = 200, seed: int = 0, progress: Progress | None = None
) -> None:
    """Write `train` + `val` demo images, half of them fake, with their label files to `folder`.

    The same seed gives the same bytes as long as numpy, OpenCV and simplejpeg stay the same. `progress` is
    called with (images written, images in all), from the calling thread.

    Raises DataError for an odd or non-positive number of images and for a folder that is not empty.
    """
    pairs = _pairs(0, "train", train) + _pairs(1, "val", val)
    _make_folders(folder)
    rows = _write_images(folder, pairs, seed, progress)
    for split, own in enumerate((rows[:train], rows[train:])):
        np.random.default_rng([seed, split]).shuffle(own)
        with atomic(folder / f"{_SPLITS[split]}set_label.txt") as part:
            part.write_text("\n".join(["img_name,target", *own, ""]), encoding="utf-8")


def demo_folder(progress: Progress | None = None) -> Path:
    """The built-in demo set: made in the cache folder at the first call, the same folder ever after.

    Raises DataError when the cache folder cannot be written or holds something else in that place.
    """
    home = cache_folder() / _VERSION
    try:
        if not _is_complete(home):
            _make(home, progress)
    except OSError as error:
        problem = f"{home}: the demo images cannot be made here ({error.strerror or error})"
        raise DataError(f"{problem}; set FASTFFDI_CACHE to a folder you can write to") from error
    return home


def _make(home: Path, progress: Progress | None) -> None:
    """Write the set beside `home` and move it there; where another process was faster, its set stays."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{home.name}.", dir=home.parent, ignore_cleanup_errors=True) as aside:
        write_demo(Path(aside) / "set", progress=progress)
        with contextlib.suppress(OSError):
            (Path(aside) / "set").rename(home)
    if not _is_complete(home):
        raise DataError(f"{home}: is not a whole demo set; delete it and run again")


def _is_complete(folder: Path) -> bool:
    return all((folder / f"{name}set_label.txt").is_file() for name in _SPLITS)


def _pairs(split: int, name: str, count: int) -> list[tuple[int, int]]:
    if count < 2 or count % 2:
        raise DataError(f"demo data: {name}={count}, but images come in pairs; give an even number from 2 up")
    return [(split, pair) for pair in range(count // 2)]


def _make_folders(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file; give a new or an empty folder for the demo images")
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder}: already holds files; give a new or an empty folder for the demo images")
    for name in _SPLITS:
        (folder / f"{name}set").mkdir(parents=True)


def _write_images(
    folder: Path, pairs: list[tuple[int, int]], seed: int, progress: Progress | None
) -> list[str]:
    """Write the pairs, given as (split, number), in threads; the label rows, in the order of the pairs."""
    rows: list[str] = []
    pool = ThreadPoolExecutor()
    try:
        for both in pool.map(lambda pair: _write_pair(folder, seed, *pair), pairs):
            rows += both
            if progress is not None:
                progress(len(rows), 2 * len(pairs))
    finally:
        pool.shutdown(cancel_futures=True)  # when interrupted, wait for the pairs begun and no others
    return rows


def _write_pair(folder: Path, seed: int, split: int, pair: int) -> list[str]:
    """Two label rows; the names are digests of the files, which say nothing of label or pair."""
    rows = []
    for target, file in enumerate(make_pair(np.random.default_rng([seed, split, pair]))):
        name = f"{hashlib.blake2b(file, digest_size=16).hexdigest()}.jpg"
        (folder / f"{_SPLITS[split]}set" / name).write_bytes(file)
        rows.append(f"{name},{target}")
    return rows

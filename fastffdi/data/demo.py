"""The demo set: portraits and forgeries of them, written in the challenge's layout.

    FOLDER/trainset/*.jpg   trainset_label.txt   `img_name,target`, 1 = fake
    FOLDER/valset/*.jpg     valset_label.txt

Pictures come in pairs (see forgery.py), and both of a pair lie in the same split. The label files are
written last: a folder without them was not finished.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastffdi.data.forgery import make_twins
from fastffdi.errors import DataError
from fastffdi.files import atomic, cache_folder

Progress = Callable[[int, int], None]
Row = tuple[str, int]

_VERSION = "demo-v1"  # raise it when the pictures change, so that nobody goes on with old ones
_MAX_THREADS = 16


@dataclass(frozen=True)
class _Split:
    """One half of the set: its folder, its label file, and how many pairs it has."""

    number: int
    folder: Path
    labels: Path
    pairs: int


def write_demo(
    folder: Path, train: int = 600, val: int = 200, seed: int = 0, progress: Progress | None = None
) -> None:
    """Write `train` + `val` demo pictures, half of them fake, with their label files to `folder`.

    The same seed gives the same bytes as long as numpy, OpenCV and Pillow stay the same. `progress` is
    called with (pictures written, pictures in all), from the calling thread.

    Raises DataError for an odd or non-positive number of pictures and for a folder that is not empty.
    """
    splits = (_split(folder, 0, "train", train), _split(folder, 1, "val", val))
    _make_empty(folder)
    rows = _write_pictures(splits, seed, progress)
    for split in splits:
        np.random.default_rng([seed, split.number]).shuffle(rows[split.number])
        _write_labels(split.labels, rows[split.number])


def demo_folder(progress: Progress | None = None) -> Path:
    """The built-in demo set: made in the cache folder at the first call, the same folder ever after.

    Raises DataError when the cache folder cannot be written or holds something else in that place.
    """
    home = cache_folder() / _VERSION
    if not _is_complete(home):
        try:
            _build_aside(home, progress)
        except OSError as error:
            raise DataError(
                f"{home}: the demo pictures cannot be made here ({error.strerror or error}); "
                "set FASTFFDI_CACHE to a folder you can write to"
            ) from error
    return home


def _build_aside(home: Path, progress: Progress | None) -> None:
    """Make the set beside `home` and rename it: of two processes that race, the second's copy is dropped."""
    part = home.with_name(f".{home.name}.{uuid.uuid4().hex}.part")
    part.mkdir(parents=True)
    try:
        write_demo(part, progress=progress)
        _move_in(part, home)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _move_in(part: Path, home: Path) -> None:
    try:
        part.rename(home)
    except OSError:
        if not _is_complete(home):
            raise DataError(f"{home}: is not a whole demo set; delete it and run again") from None


def _is_complete(folder: Path) -> bool:
    return all((folder / f"{name}set_label.txt").is_file() for name in ("train", "val"))


def _split(folder: Path, number: int, name: str, pictures: int) -> _Split:
    if pictures < 2 or pictures % 2:
        raise DataError(
            f"demo data: {name}={pictures}, but pictures come in pairs; give an even number from 2 up"
        )
    return _Split(number, folder / f"{name}set", folder / f"{name}set_label.txt", pictures // 2)


def _make_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file; give a new or an empty folder for the demo pictures")
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder}: already holds files; give a new or an empty folder for the demo pictures")
    folder.mkdir(parents=True, exist_ok=True)


def _write_pictures(splits: tuple[_Split, ...], seed: int, progress: Progress | None) -> list[list[Row]]:
    """Write all pairs, in threads; the rows of each split, in the order of its pairs."""
    for split in splits:
        split.folder.mkdir()
    jobs = [(split, pair) for split in splits for pair in range(split.pairs)]
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MAX_THREADS)) as pool:
        futures = [pool.submit(_write_pair, split, pair, seed) for split, pair in jobs]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if progress is not None:
                    progress(2 * done, 2 * len(jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    rows: list[list[Row]] = [[] for _ in splits]
    for (split, _), future in zip(jobs, futures, strict=True):
        rows[split.number] += future.result()
    return rows


def _write_pair(split: _Split, pair: int, seed: int) -> list[Row]:
    twins = make_twins(np.random.default_rng([seed, split.number, pair]))
    return [(_write_picture(split.folder, twins.real), 0), (_write_picture(split.folder, twins.fake), 1)]


def _write_picture(folder: Path, file: bytes) -> str:
    """Write one JPEG under the 32 hex digits of its digest, which say nothing of label or pair."""
    name = f"{hashlib.blake2b(file, digest_size=16).hexdigest()}.jpg"
    (folder / name).write_bytes(file)
    return name


def _write_labels(path: Path, rows: list[Row]) -> None:
    lines = ["img_name,target", *(f"{name},{target}" for name, target in rows)]
    with atomic(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")

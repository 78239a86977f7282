"""Sizes and orientations of images, from their headers alone.

A JPEG is a chain of segments; everything asked here stands before the first scan. The chain is walked by
own code because it takes microseconds where opening the image takes a hundred; whatever that code does
not understand goes to Pillow.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from fastffdi.errors import UndecodableImage
from fastffdi.files import atomic, cache_folder

# The header of a camera JPEG with a thumbnail fits the second read; four reads reach 16 MiB.
_READS = (4 << 10, 60 << 10, 960 << 10, 15 << 20)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})  # markers without a length
_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II": "little", b"MM": "big"}
_VALUE_BYTES = {3: 2, 4: 4}  # of EXIF's types SHORT and LONG
_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 1 << 26)  # Pillow refuses more, as a decompression bomb
_CHUNK = 256  # images per task: long enough to hide the pool's cost, short enough to stop soon
_ROW = np.dtype([("path", "S16"), ("mark", "<i8", 2), ("size", "<i4", 2)])


def orientation(data: bytes) -> int:
    """EXIF orientation of JPEG bytes, 1..8; 1 when there is none, or no valid one.

    Only EXIF counts: an orientation that stands in XMP alone is left alone.
    """
    if data[:2] != b"\xff\xd8":
        return 1
    start, end = _scan(data)[1]
    return _orientation_tag(data[start:end])


def image_size(path: str) -> tuple[int, int]:
    """(height, width) in pixels after EXIF orientation, read from the header only.

    Not for threads, since it mutes Pillow's warnings meanwhile: `image_sizes` is.
    Raises UndecodableImage when the file is absent or its header is no image's.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _mark(path)
        return _size(path)


def image_sizes(paths: Sequence[str], threads: int, root: str | None = None) -> np.ndarray:
    """(N, 2) int32 height, width of each image after EXIF orientation, by `threads` threads.

    Kept in the cache folder, one file for each `root` (default: the deepest folder above all `paths`);
    an image is read again when its length in bytes or its time of change differs.
    Raises UndecodableImage for the first that is no image.
    """
    if not len(paths):
        return np.zeros((0, 2), np.int32)
    if root is None:
        paths = [os.path.abspath(path) for path in paths]
        root = os.path.commonpath([os.path.dirname(path) for path in paths])
    cache = cache_folder() / "sizes" / f"{_digest(root).hex()}.npz"
    known = _load(cache)
    rows, fresh = np.zeros(len(paths), _ROW), np.zeros(len(paths), bool)

    def fill(at: int) -> None:
        part = slice(at, at + _CHUNK)
        _fill(rows[part], fresh[part], paths[part], known)

    try:
        with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
            warnings.simplefilter("ignore")  # Pillow's remarks on odd headers
            for _ in pool.map(fill, range(0, len(paths), _CHUNK)):
                pass  # an error of a chunk is raised here, and cancels the chunks not begun
    finally:
        # Also after an error: what was read once need not be read again when the bad file is gone.
        if fresh.any():
            _save(cache, rows[fresh], known)
    return np.ascontiguousarray(rows["size"], np.int32)


def _fill(rows: np.ndarray, fresh: np.ndarray, paths: Sequence[str], known: np.ndarray) -> None:
    """Fill `rows` from what is known, else from the files; `fresh` marks those."""
    rows["path"] = [_digest(path) for path in paths]
    rows["mark"] = [_mark(path) for path in paths]
    if len(known):
        near = known[np.searchsorted(known["path"], rows["path"]).clip(max=len(known) - 1)]
        same = (near["path"] == rows["path"]) & (near["mark"] == rows["mark"]).all(axis=1)
        rows["size"] = np.where(same[:, None], near["size"], 0)
    for row in np.flatnonzero(rows["size"][:, 0] == 0).tolist():
        rows["size"][row] = _size(paths[row])
        fresh[row] = True


def _digest(path: str) -> bytes:
    return hashlib.blake2b(os.fsencode(path), digest_size=16).digest()


def _mark(path: str) -> tuple[int, int]:
    """Length in bytes and time of change of a regular file."""
    try:
        info = os.stat(path)
    except OSError as error:
        raise UndecodableImage(path, _reason(error)) from error
    if not stat.S_ISREG(info.st_mode):  # to open a pipe would wait for ever
        raise UndecodableImage(path, "not a file")
    return info.st_size, info.st_mtime_ns


def _load(cache: Path) -> np.ndarray:
    try:
        with cache.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            table: np.ndarray = stored["table"]
        whole = table.dtype == _ROW and table.ndim == 1 and (table["size"] > 0).all()
    except Exception:  # a damaged cache breaks in many ways, and all mean: read the images
        whole = False
    return table if whole else np.zeros(0, _ROW)


def _save(cache: Path, rows: np.ndarray, known: np.ndarray) -> None:
    """Write `rows` and what else is known, sorted by path."""
    both = np.concatenate([rows, known])
    table = both[np.unique(both["path"], return_index=True)[1]]  # the first of a path: the newer
    # A cache that cannot be written costs time at the next run, never this one.
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        with atomic(cache) as part, part.open("wb") as file:
            np.savez(file, table=table)


def _size(path: str) -> tuple[int, int]:
    try:
        return _jpeg_size(path) or _pillow_size(path)
    except Exception as error:  # Pillow meets hostile bytes with nearly every kind of exception
        raise UndecodableImage(path, _reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())


def _jpeg_size(path: str) -> tuple[int, int] | None:
    """The size if the file is a plain JPEG, None where Pillow has to look."""
    data = b""
    with open(path, "rb", buffering=0) as file:
        for length in _READS:
            data += file.read(length)
            if data[:3] != b"\xff\xd8\xff":
                return None
            size, (start, end), complete = _scan(data)
            if complete:
                return _turned(size, _orientation_tag(data[start:end])) if size else None
    return None


def _pillow_size(path: str) -> tuple[int, int]:
    with Image.open(path) as image:
        width, height = image.size
        if image.format == "TIFF":  # Pillow has turned this size already
            return height, width
        if image.format in ("JPEG", "MPO"):
            return _turned((height, width), orientation(Path(path).read_bytes()))
        if image.format == "PNG" and "exif" not in image.info:
            late = _png_exif(path)
            image.info.update({"exif": late} if late else {})
        # Not image.getexif(): for a PNG that decodes the whole image first.
        exif = Image.Image.getexif(image)
    return _turned((height, width), exif.get(ExifTags.Base.Orientation, 1))


def _png_exif(path: str) -> bytes:
    """The eXIf chunk of a PNG, or b"": it may stand behind the pixels, where opening does not look."""
    with open(path, "rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
            length = int.from_bytes(head[:4], "big")
            if head[4:] == b"eXIf":
                return b"Exif\0\0" + file.read(min(length, 1 << 16))
            file.seek(length + 4, os.SEEK_CUR)
    return b""


def _turned(size: tuple[int, int], turn: int) -> tuple[int, int]:
    return (size[1], size[0]) if turn in (5, 6, 7, 8) else size


def _scan(data: bytes) -> tuple[tuple[int, int] | None, tuple[int, int], bool]:
    """Walk a JPEG's segments to its first scan.

    Returns (height, width) as coded or None; where the TIFF part of its EXIF starts and ends, or (0, 0);
    and whether the scan was reached. A size that needs a closer look is None: of two frames, or beyond
    what Pillow agrees to open.
    """
    size: tuple[int, int] | None = None
    exif = (0, 0)
    frames, at, end = 0, 2, len(data) - 3
    while at < end:
        if data[at] != 0xFF:  # junk between segments, which decoders skip
            at = data.find(b"\xff", at)
            if at < 0:
                break
            continue
        marker = data[at + 1]
        if marker == 0xFF or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == 0xDA:
            return (size if frames == 1 else None), exif, True
        if marker == 0xD9:
            break
        length = data[at + 2] << 8 | data[at + 3]
        if marker in _FRAMES and at + 9 <= len(data):
            frames += 1
            height, width = data[at + 5] << 8 | data[at + 6], data[at + 7] << 8 | data[at + 8]
            size = (height, width) if 0 < height * width <= _PIXELS else None
        elif marker == 0xE1 and not exif[1] and data[at + 4 : at + 10] == b"Exif\0\0":
            exif = (at + 10, at + 2 + length)
        at += 2 + length
    return None, exif, False


def _orientation_tag(tiff: bytes) -> int:
    """Orientation (tag 0x0112) in the first directory of EXIF's TIFF structure; 1 unless it is 1..8."""
    if tiff[:6] == b"Exif\0\0":  # some writers put the signature twice
        tiff = tiff[6:]
    order = _ORDERS.get(tiff[:2])
    if order is None:
        return 1
    start = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[start : start + 2], order)
    entries = tiff[start + 2 : start + 2 + 12 * count]  # of tag, type, how many: 2 + 2 + 4 bytes; 4 of value
    value = 1
    for at in range(0, len(entries) - 11, 12):
        tag, kind, values = entries[at : at + 2], entries[at + 2 : at + 4], entries[at + 4 : at + 8]
        if int.from_bytes(tag, order) == 0x0112 and int.from_bytes(values, order) == 1:
            width = _VALUE_BYTES.get(int.from_bytes(kind, order), 0)
            value = int.from_bytes(entries[at + 8 : at + 8 + width], order)
    return value if 1 <= value <= 8 else 1

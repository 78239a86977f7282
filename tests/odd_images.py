"""Small images in every format, some of them no images, with names that are hard to write down."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

#: Beginnings of names.
_NAMES = (
    b"plain", b"with space", b" ", b'"quoted"', b"'single'", b"a,b;c\td", b"two\nlines", b"re\rturn",
    b"=1+1", b"-dash", b"@at", b"caf\xc3\xa9", b"caf\xe9", b"\xff\xfe", b"a[1]*?", b"%s{}\\n", b"NA", b"1e5",
)  # fmt: skip
_LONGEST_BYTES = 255


def _jpeg(image: Image.Image, **how: object) -> bytes:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=90, **how)
    return data.getvalue()


def _turned(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return _jpeg(image, exif=exif)


def _saved(kind: str, mode: str = "RGB"):
    def save(image: Image.Image) -> bytes:
        data = io.BytesIO()
        image.convert(mode).save(data, kind)
        return data.getvalue()

    return save


_KINDS = (
    (".jpg", _jpeg),
    (".png", _saved("PNG")),
    (".webp", _saved("WebP")),
    (".bmp", _saved("BMP")),
    (".gif", _saved("GIF", "P")),
    (".tif", _saved("TIFF")),
    (".jpeg", lambda image: _jpeg(image.convert("L"))),
    (".JPG", lambda image: _jpeg(image.convert("CMYK"))),
    (".jpe", _turned),
    (".png", _saved("PNG", "RGBA")),
    (".png", _saved("PNG", "1")),
    (".jpg", lambda image: _jpeg(image)[:300]),
)


def odd_images(folder: Path, count: int) -> list[bytes]:
    """Make so many files in a folder, and give a list of as many names: nine in ten once, others twice."""
    rng, names = np.random.default_rng(3), []
    for k in range(count):
        suffix, encode = _KINDS[k % len(_KINDS)]
        end = b"-%d%s" % (k, suffix.encode())
        name = _NAMES[k % len(_NAMES)] + end
        if k % 50 == 7:
            name = b"x" * (_LONGEST_BYTES - len(end)) + end
        values = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        size = rng.integers(33, 49, 2).tolist()
        (Path(os.fsdecode(os.path.join(os.fsencode(folder), name)))).write_bytes(
            encode(Image.fromarray(values).resize(size))
        )
        names.append(name)
    once = names[: count - count // 10]
    listed = once + once[: count // 10]
    return [listed[k] for k in rng.permutation(count)]

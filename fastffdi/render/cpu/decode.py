"""Encoded images to RGB arrays on the CPU, bit-identical to Pillow, EXIF orientation applied."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import cv2
import numpy as np
import simplejpeg

from fastffdi.data.headers import plain_orientation, reason_of
from fastffdi.data.limits import LIMITS, Limits
from fastffdi.data.pillow import rgb_image
from fastffdi.data.source import FILES, ImageSource
from fastffdi.errors import UndecodableImage
from fastffdi.recipe.kernels import Kernel, Part, Resize
from fastffdi.recipe.program import Program
from fastffdi.render.cpu.partial import decode_part


def reduction(spare: float) -> int:
    """8, 4, 2 or 1: the largest by which a JPEG can be reduced that has `spare` times the pixels wanted."""
    return next(factor for factor in (8, 4, 2, 1) if factor <= max(spare, 1))


@dataclass(frozen=True)
class Region:
    """What is wanted of an image: the fractions `down` × `across` of it, in `height` × `width` pixels."""

    down: float
    across: float
    height: int
    width: int

    def reduction(self, height: int, width: int) -> int:
        """8, 4, 2 or 1: by how much an image of that size can be reduced and still has the pixels wanted."""
        spare = min(height * self.down / self.height, width * self.across / self.width)
        return reduction(spare)


#: Gives the part that is wanted of an image of a height and width; None for all of it.
Wanted = Callable[[int, int], Part | None]


def _all_of_it(height: int, width: int) -> None:
    return None


class Decoder(Protocol):
    """Gives decoded images. Called from many threads at once."""

    def __call__(self, row: int, path: str, prefix: Program, program: Program, i: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the manifest's `row`, with image i of `prefix` already applied.

        `program` is what will be applied to it next: pixels that its first kernel does not read may be
        anything. It may be a view of memory that must not be written to.
        Raises UndecodableImage.
        """


@dataclass(frozen=True)
class SourceDecoder:
    """Reads from a source and decodes; nothing is applied yet, so that `prefix` is empty.

    Attributes:
        source: where the bytes come from
        scaled: decode JPEGs at 1/2, 1/4 or 1/8 where that is enough for the program's first kernel, a Resize
        limits: what is larger is refused
    """

    source: ImageSource = FILES
    scaled: bool = False
    limits: Limits = LIMITS

    def __call__(self, row: int, path: str, prefix: Program, program: Program, i: int) -> np.ndarray:
        """See Decoder."""
        region = _region(program.kernels[0], i) if self.scaled else None
        wanted = partial(program.kernels[0].part, i) if program.kernels else _all_of_it
        return decode_path(path, region, self.source, wanted, self.limits)


DECODER = SourceDecoder()


def decode_path(
    path: str,
    region: Region | None = None,
    source: ImageSource = FILES,
    wanted: Wanted = _all_of_it,
    limits: Limits = LIMITS,
) -> np.ndarray:
    """(H, W, 3) uint8 RGB; with a region, of a JPEG perhaps 1/2, 1/4 or 1/8 of that.

    Outside the part that is `wanted`, the pixels may be anything.

    Raises UndecodableImage with the path and the reason.
    """
    try:
        limits.check_bytes(
            source.identity(path).size_bytes
        )  # before it is read: it may be larger than memory
        return decode(source.read(path), region, wanted, limits)
    except UndecodableImage:
        raise
    except Exception as error:  # decoders raise whatever they like
        raise UndecodableImage(path, reason_of(error)) from None


def decode(
    data: bytes, region: Region | None = None, wanted: Wanted = _all_of_it, limits: Limits = LIMITS
) -> np.ndarray:
    """As `decode_path`, from the bytes. Raises ValueError for what is refused, and what decoders raise."""
    if data[:3] == b"\xff\xd8\xff" and (turned := plain_orientation(data)) is not None:
        try:
            part = wanted if turned <= 1 else _all_of_it
            return upright(_decode_jpeg(data, region, part, turned >= 5, limits), turned)
        except ValueError:
            pass  # what the strict fast path refuses (CMYK, stray bytes), Pillow may know how to read
    return np.array(rgb_image(io.BytesIO(data), limits))  # a copy: torch wants arrays it may write to


def _region(kernel: Kernel, i: int) -> Region:
    assert isinstance(kernel, Resize), "a recipe that does not begin with one is refused when it is read"
    top, left, bottom, right = kernel.roi[i].tolist()
    height, width = kernel.size[i].tolist()
    return Region(abs(bottom - top), abs(right - left), height, width)


def upright(image: np.ndarray, turned: int) -> np.ndarray:
    """The image as it is to be seen, from the EXIF orientation 1..8 it was stored in."""
    if turned >= 5:
        image = cv2.transpose(image)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(turned)
    return image if flip is None else cv2.flip(image, flip)


def _decode_jpeg(
    data: bytes, region: Region | None, wanted: Wanted, sideways: bool, limits: Limits
) -> np.ndarray:
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    if colours in ("CMYK", "YCCK"):
        raise ValueError(f"{colours} is converted otherwise than by Pillow")
    limits.check_pixels(height, width)
    factor = 1 if region is None else region.reduction(*((width, height) if sideways else (height, width)))
    part = wanted(height, width) if factor == 1 else None
    if part is not None and (image := decode_part(data, part, height, width)) is not None:
        return image
    return reduced(data, "RGB", height, width, factor)


def reduced(data: bytes, colours: str, height: int, width: int, factor: int) -> np.ndarray:
    """A JPEG of that height and width at exactly 1/factor of it: (H', W', 3) for RGB, (H', W', 1) for GRAY.

    Raises ValueError for whatever is irregular in the data.
    """
    return np.asarray(
        simplejpeg.decode_jpeg(
            data,
            colours,
            fastdct=False,
            fastupsample=False,
            # The smallest that is as large as this, done in the DCT domain.
            min_height=-(-height // factor),
            min_width=-(-width // factor),
            min_factor=factor,
        )
    )

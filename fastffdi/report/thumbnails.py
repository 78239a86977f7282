"""The worst mistakes of a model as images that a page carries in itself."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from fastffdi.data.manifest import LABELS, Manifest
from fastffdi.preview.mistakes import worst, wrong
from fastffdi.report.assessed import Assessed

#: Pixels of the longest side, and JPEG's quality: some 6 kB each.
_SIDE, _QUALITY = 150, 80

#: Of each class of a model, and of all models together.
_MOST, _MOST_OF_ALL = 12, 48


@dataclass(frozen=True)
class Thumbnail:
    """An image as a data URI, its size in pixels, its name as the user wrote it and its score."""

    uri: str
    width: int
    height: int
    name: str
    score: float


@dataclass(frozen=True)
class Mistakes:
    """The images of a class taken for the other: how many there are, and the worst of them."""

    label: str
    other: str
    images: int
    worst: list[Thumbnail]


def mistakes(one: Assessed, images: Manifest | None, models: int) -> list[Mistakes]:
    """Those of each class at the model's threshold; as many of each of `models` as a page can carry."""
    found, most = [], max(1, min(_MOST, _MOST_OF_ALL // models))
    for label, other in ((1, 0), (0, 1)):
        count = int(wrong(one.scored, label, one.cut).sum())
        cells = [] if images is None else worst(one.scored, images, label, most, _SIDE, one.cut)
        shown = [_thumbnail(cell.image, cell.name, cell.score) for cell in cells]
        found.append(Mistakes(LABELS[label], LABELS[other], count, shown))
    return found


def _thumbnail(pixels: np.ndarray, name: str, score: float) -> Thumbnail:
    image, packed = Image.fromarray(pixels), BytesIO()
    image.save(packed, "JPEG", quality=_QUALITY)
    uri = f"data:image/jpeg;base64,{b64encode(packed.getvalue()).decode()}"
    return Thumbnail(uri, image.width, image.height, name, score)

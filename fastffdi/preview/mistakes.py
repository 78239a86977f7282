"""The images that a model is most wrong about, read again so that they can be looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from fastffdi.data.manifest import Manifest
from fastffdi.errors import UndecodableImage
from fastffdi.evaluation.scored import Scored
from fastffdi.render.cpu.decode import decode_path


@dataclass(frozen=True)
class Mistake:
    """An image (H, W, 3) uint8, made small, with its name as the user wrote it and its score."""

    image: np.ndarray
    name: str
    score: float


def wrong(scored: Scored, label: int, threshold: float = 0.5) -> np.ndarray:
    """(N,) bool: the images of a class on the other one's side; a score of the threshold is fake."""
    return np.asarray((scored.labels == label) & ((scored.scores >= threshold) != (label == 1)))


def worst(
    scored: Scored, images: Manifest, label: int, most: int, side: int, threshold: float = 0.5
) -> list[Mistake]:
    """At most `most` of them, the worst first, no side longer than `side` pixels.

    Those that are not among `images`, or can no longer be read, are left out.
    """
    rows, found = {str(name): row for row, name in enumerate(images.names)}, list[Mistake]()
    own = np.flatnonzero(wrong(scored, label, threshold))
    for k in own[np.argsort(-np.abs(scored.scores[own] - label), kind="stable")]:
        row = rows.get(scored.names[k])
        if row is None:
            continue
        if len(found) == most:
            break
        (path,) = images.paths(np.array([row]))
        try:
            image = decode_path(path)
        except UndecodableImage:
            continue
        found.append(Mistake(small(image, side), str(scored.names[k]), float(scored.scores[k])))
    return found


def small(image: np.ndarray, side: int) -> np.ndarray:
    """The image (H, W, 3) uint8 with no side longer than `side` pixels."""
    thumb = Image.fromarray(image)
    thumb.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(thumb)

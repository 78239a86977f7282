"""Facts by which a model could tell the classes, and how to give one class those of the other."""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

import cv2
import numpy as np

from fastffdi.audit.facts import FORMATS
from fastffdi.audit.survey import survey
from fastffdi.data.limits import LIMITS, Limits
from fastffdi.data.manifest import Manifest
from fastffdi.data.readers import ReaderThreads
from fastffdi.errors import UndecodableImage
from fastffdi.evaluation.metrics import Labels
from fastffdi.inference.degradations import Degradation
from fastffdi.render.cpu.decode import decode_path

QUALITY, SIZE, SHARPNESS = "JPEG quality", "size", "sharpness"

#: The quality that images count as that are no JPEGs: nothing was lost.
_LOSSLESS = 100

#: Deviations in pixels of the blurs among which one is chosen, and how many images it is chosen by.
_SIGMAS, _SAMPLE = tuple(k / 10 for k in range(3, 41)), 32

#: Pixels a side of what sharpness is measured in.
_MIDDLE = 1024


class Match(NamedTuple):
    """The class that is changed, 0 = real or 1 = fake, and the degradation that gives it the other's fact."""

    label: int
    degradation: Degradation


def traits(manifest: Manifest, threads: int, limits: Limits = LIMITS) -> dict[str, np.ndarray]:
    """(N,) float64 of each fact; NaN for an image of which it is not known.

    The quality a file was written with, 100 where it is no JPEG; the root of width × height in pixels; the
    mean second difference of neighbouring pixels in grey values.
    """
    found = survey(manifest, threads, full=False)
    facts = found.facts
    quality = np.where(facts["format"] == FORMATS.index("JPEG"), facts["quality"].astype(float), _LOSSLESS)
    size = np.sqrt(facts["height"].astype(float) * facts["width"])
    known = found.usable
    with ReaderThreads(threads, "fastffdi-traits") as pool:

        def sharp(path: str) -> float:
            pool.begin(path)
            try:
                return sharpness(decode_path(path, limits=limits))
            except UndecodableImage:
                return np.nan

        sharp_values = np.array(list(pool.map(sharp, manifest.paths())), float)
    return {
        QUALITY: np.where(known & (quality > 0), quality, np.nan),
        SIZE: np.where(known, size, np.nan),
        SHARPNESS: np.where(known, sharp_values, np.nan),
    }


def sharpness(image: np.ndarray) -> float:
    """The mean of |Laplacian| over the middle of an image (H, W, 3), 1024 pixels a side, in grey values."""
    grey = cv2.cvtColor(_middle(image), cv2.COLOR_RGB2GRAY)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean())


def match(
    fact: str, labels: Labels, values: np.ndarray, manifest: Manifest, limits: Limits = LIMITS
) -> Match | None:
    """How the class with the higher median of a fact, one of `traits`, gets that of the other.

    None where both have the same.
    """
    labels = np.asarray(labels)
    both = medians(labels, values)
    label, low, high = int(both[1] > both[0]), min(both), max(both)
    if not low < high:
        return None
    if fact == QUALITY:
        return Match(label, Degradation("jpeg", round(low)))
    if fact == SIZE:
        return Match(label, Degradation("scale", low / high))
    rows = np.flatnonzero((labels == label) & np.isfinite(values))
    sigma = _blur_to(low, manifest.take(rows[:: -(-len(rows) // _SAMPLE)]), limits)
    return Match(label, Degradation("blur", sigma))


def medians(labels: Labels, values: np.ndarray) -> tuple[float, float]:
    """Of a fact (N,), of reals and of fakes; NaN where it is known of none."""
    classes = (values[(np.asarray(labels) == label) & np.isfinite(values)] for label in (0, 1))
    real, fake = (float(np.median(known)) if len(known) else np.nan for known in classes)
    return real, fake


def _blur_to(target: float, manifest: Manifest, limits: Limits) -> float:
    """The deviation after which images are, in the median, as sharp as `target`, or nearly."""
    images = [_middle(decode_path(path, limits=limits)) for path in manifest.paths()]

    def sharp(sigma: float) -> float:
        return float(np.median([sharpness(Degradation("blur", sigma)(image)) for image in images]))

    place = bisect_left(_SIGMAS, -target, key=lambda sigma: -sharp(sigma))
    nearest = _SIGMAS[max(0, place - 1) : place + 1]
    return min(nearest, key=lambda sigma: abs(sharp(sigma) - target))


def _middle(image: np.ndarray) -> np.ndarray:
    top, left = (max(0, side - _MIDDLE) // 2 for side in image.shape[:2])
    return image[top : top + _MIDDLE, left : left + _MIDDLE].copy()

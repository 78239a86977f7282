"""What a classifier could learn in place of the forgery: facts about the files that tell the label.

For each fact and split, the AUC of telling fake from real by it, max(AUC, 1 − AUC): 0.5 is chance.
Of facts that are words, each counts as the share of fakes among the images that have it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastffdi.audit.survey import Survey
from fastffdi.evaluation.metrics import auc

#: Above it there is a warning.
WARN_ABOVE = 0.6
# In standard deviations of the AUC of a fact that says nothing: in small splits chance alone passes 0.6.
_BEYOND_CHANCE = 2.5

#: Fact → what to do.
CURES = {
    "file size": "encode real and fake images alike: same format, quality and size in pixels",
    "JPEG quality": "compress both classes at the same qualities, or add jpeg_compression to the recipe",
    "chroma subsampling": "encode both classes with the same chroma subsampling",
    "width": "scale or crop both classes to the same widths before they are encoded",
    "height": "scale or crop both classes to the same heights before they are encoded",
    "aspect ratio": "crop both classes to the same aspect ratios, since resizing distorts them differently",
    "format": "write both classes in the same format",
    "EXIF": "strip or keep the metadata of both classes alike",
    "colours": "store both classes with the same channels",
}


@dataclass(frozen=True)
class Shortcut:
    """How well a fact tells the labels: `reach` in training and in validation, None where it is not known.

    `warn`: one of them is above 0.6, and not by chance.
    """

    fact: str
    reach: tuple[float | None, float | None]
    warn: bool

    @property
    def furthest(self) -> float:
        """The higher of the two; 0.5 where neither is known."""
        return max((value for value in self.reach if value is not None), default=0.5)


def shortcuts(train: Survey, val: Survey) -> list[Shortcut]:
    """All facts of CURES, in its order."""
    first, second = told_by_facts(train), told_by_facts(val)
    return [
        Shortcut(fact, (first[fact][0], second[fact][0]), first[fact][1] or second[fact][1]) for fact in CURES
    ]


def told_by_facts(split: Survey) -> dict[str, tuple[float | None, bool]]:
    """For each fact of CURES, in its order, its reach in one split, and whether to warn of it."""
    facts = _facts(split)
    return {fact: telling(*facts[fact]) for fact in CURES}


def _facts(split: Survey) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Fact → labels and values of the images that have it."""
    rows = split.facts[split.usable]
    labels = np.asarray(split.manifest.labels)[split.usable]
    height, width = rows["height"].astype(float), rows["width"].astype(float)
    words = {"format": rows["format"], "EXIF": rows["exif"], "colours": rows["mode"]}
    jpeg, colour = rows["quality"] > 0, rows["subsampling"] > 0
    return {
        "file size": (labels, split.sizes[split.usable].astype(float)),
        "JPEG quality": (labels[jpeg], rows["quality"][jpeg].astype(float)),
        "chroma subsampling": (labels[colour], _shares(labels[colour], rows["subsampling"][colour])),
        "width": (labels, width),
        "height": (labels, height),
        "aspect ratio": (labels, width / height.clip(min=1)),
        **{fact: (labels, _shares(labels, values)) for fact, values in words.items()},
    }


def _shares(labels: np.ndarray, words: np.ndarray) -> np.ndarray:
    """For each image the share of fakes among those with its word."""
    codes = np.unique(words, return_inverse=True)[1]
    return np.asarray((np.bincount(codes, labels) / np.maximum(np.bincount(codes), 1))[codes])


def telling(labels: np.ndarray, values: np.ndarray) -> tuple[float | None, bool]:
    """How well `values` (N,) tell `labels`, max(AUC, 1 − AUC), and whether to warn of it.

    None where a class is absent.
    """
    value = auc(labels, values)
    if value is None:
        return None, False
    reach = max(value, 1 - value)
    real, fake = np.bincount(labels, minlength=2).tolist()
    # Of the Mann-Whitney statistic under the null hypothesis; ties only make it smaller.
    deviation = float(np.sqrt((real + fake + 1) / (12 * real * fake)))
    return reach, reach > WARN_ABOVE and reach - 0.5 > _BEYOND_CHANCE * deviation

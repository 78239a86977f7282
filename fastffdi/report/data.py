"""What a report says of the images themselves: which were left out, and what their files alone tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastffdi.data.manifest import Manifest
from fastffdi.evaluation.scored import Scored

#: Images that were left out are named up to so many.
_NAMED = 20


@dataclass(frozen=True)
class LeftOut:
    """An image without a score, and why, where its file tells."""

    name: str
    reason: str


@dataclass(frozen=True)
class Told:
    """How far a fact about files tells real from fake: the higher of AUC and 1 − AUC, None if not known."""

    fact: str
    reach: float | None
    warn: bool
    cure: str


@dataclass(frozen=True)
class DataNotes:
    """A set of images: what was left out of it, the first of them by name, and its shortcuts."""

    set: str
    images: int
    left_out: int
    named: Sequence[LeftOut]
    shortcuts: Sequence[Told]


def notes(name: str, scored: Scored, images: Manifest | None, threads: int) -> DataNotes:
    """What is known of a set; of its files nothing where `images` is None.

    Headers and ends of the files are read by `threads` threads, unless they are known from before.
    """
    total = len(scored) + scored.left_out
    if images is None:
        return DataNotes(name, total, scored.left_out, (), ())
    from fastffdi.audit.shortcuts import CURES, told_by_facts
    from fastffdi.audit.survey import survey

    looked_at = survey(images, threads, full=False)
    known = set(scored.names)
    absent = np.flatnonzero([image not in known for image in images.names])[:_NAMED]
    left_out = [LeftOut(str(images.names[row]), looked_at.reasons.get(row, "")) for row in absent.tolist()]
    told = [Told(fact, reach, warn, CURES[fact]) for fact, (reach, warn) in told_by_facts(looked_at).items()]
    return DataNotes(name, total, scored.left_out, left_out, told)

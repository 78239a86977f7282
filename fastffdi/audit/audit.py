"""The audit of a data set: both splits surveyed, compared, and what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastffdi.audit.balance import balance
from fastffdi.audit.duplicates import Duplicates
from fastffdi.audit.faults import faults
from fastffdi.audit.findings import Finding, are, images, percent, ranked
from fastffdi.audit.shortcuts import CURES, Shortcut, shortcuts
from fastffdi.audit.survey import Progress, Survey, survey
from fastffdi.data.layout import Dataset

SPLITS = ("training", "validation")


@dataclass(frozen=True)
class Audit:
    """What is known about a data set; rows are those of training, then those of validation.

    Attributes:
        dataset: what was looked at
        full: whether all files were decoded and hashed, or headers and ends only were read
        train, val: the files of each split
        duplicates: which images are copies of others
        shortcuts: how far facts about the files alone give the labels away
        findings: gravest first; none where all is well
    """

    dataset: Dataset
    full: bool
    train: Survey
    val: Survey
    duplicates: Duplicates
    shortcuts: list[Shortcut]
    findings: list[Finding]

    def named(self, row: int) -> tuple[str, str]:
        """The split ("training", "validation") and the name of a row."""
        beyond = row - len(self.train.facts)
        if beyond < 0:
            return SPLITS[0], str(self.train.manifest.names[row])
        return SPLITS[1], str(self.val.manifest.names[beyond])

    @property
    def labels(self) -> np.ndarray:
        """(N,) labels of all rows."""
        return _labels(self.train, self.val)


def audit(dataset: Dataset, threads: int, full: bool, progress: Progress = lambda n: None) -> Audit:
    """Check the files of `dataset`, labelled, by `threads` threads; quickly, or with `full` by decoding all.

    `progress` gets the number of files done since its last call.
    """
    train, val = (survey(split, threads, full, progress) for split in (dataset.train, dataset.val))
    facts = np.concatenate([train.facts, val.facts])
    small = np.ascontiguousarray(facts["small"]).view(np.uint8).reshape(len(facts), 64)
    duplicates = Duplicates.among(np.concatenate([train.keys, val.keys]), facts["look"], small)
    measured = shortcuts(train, val)
    found = [
        *_copies(duplicates, train, val),
        *faults(train, SPLITS[0], 0),
        *faults(val, SPLITS[1], len(train.facts)),
        *balance(dataset.train, SPLITS[0]),
        *balance(dataset.val, SPLITS[1]),
        *(_shortcut(one) for one in measured if one.warn),
    ]
    return Audit(dataset, full, train, val, duplicates, measured, ranked(found))


def quick_findings(dataset: Dataset, threads: int = 2) -> list[str]:
    """The two gravest findings of a quick check, one line each; none where all is well.

    What an earlier, full check found out about unchanged files counts as well. A class without images is left
    out, which every run says by itself.
    """
    found = [one for one in audit(dataset, threads, full=False).findings if one.kind != "one-class"]
    return [f"{one.severity}: {one.text}; {one.advice}" for one in found[:2]]


def _labels(train: Survey, val: Survey) -> np.ndarray:
    return np.concatenate([np.asarray(split.manifest.labels) for split in (train, val)])


def _copies(duplicates: Duplicates, train: Survey, val: Survey) -> Iterator[Finding]:
    """Copies across the splits, labels that contradict each other, and copies within a split."""
    rows = np.arange(len(train.facts) + len(val.facts))
    splits = rows[: len(train.facts)], rows[len(train.facts) :]
    labels = _labels(train, val)
    leaked = duplicates.same(splits[1], splits[0])
    if (leaked >= 0).any():
        yield _leak(splits[1][leaked >= 0], leaked[leaked >= 0], len(val.facts))
    conflicts = duplicates.conflicts(labels)
    if len(conflicts):
        text = f"{images(len(conflicts))} have copies with the other label"
        cure = "find out which label is right; --fix leaves all of them out"
        yield Finding("label-conflict", "error", text, cure, conflicts, weight=3 + len(conflicts) / len(rows))
    near, like = duplicates.near(splits[1][leaked < 0], splits[0])
    if len(near):
        share = percent(len(near), len(val.facts))
        verb = "looks" if len(near) == 1 else "look"
        text = f"{images(len(near))}, {share} of the validation set, {verb} like training images"
        cure = "split by source (video, person, original), so that near-duplicates are on one side"
        yield Finding("near-leak", "warning", text, cure, near, like, weight=2 + len(near) / len(val.facts))
    for name, split in zip(SPLITS, splits, strict=True):
        yield from _copies_within(duplicates, name, split, labels)


def _leak(rows: np.ndarray, others: np.ndarray, total: int) -> Finding:
    count = len(rows)
    text = f"{images(count)}, {percent(count, total)} of the validation set, {are(count)} in the training set"
    cure = "take them out of the validation set, whose figures they flatter; --fix leaves them out"
    return Finding("leak", "error", text, cure, rows, others, weight=4 + count / total)


def _copies_within(
    duplicates: Duplicates, name: str, split: np.ndarray, labels: np.ndarray
) -> Iterator[Finding]:
    rows, others = duplicates.copies(split)
    if len(rows):
        text = f"{images(len(rows), name)} {are(len(rows))} copies of others there"
        cure = "keep one of each, since they count twice"
        yield Finding("copies", "warning", text, cure, rows, others, weight=len(rows) / len(split))
    # A forgery looks like its original: near-duplicates are of interest within a class.
    pairs = [duplicates.near_copies(split[labels[split] == label]) for label in (0, 1)]
    near, like = (np.concatenate(part) for part in zip(*pairs, strict=True))
    if len(near):
        verb = "looks" if len(near) == 1 else "look"
        text = f"{images(len(near), name)} {verb} like others of their class there"
        cure = "keep one of each, or as many as you mean: they add little to learn from"
        yield Finding("near-copies", "note", text, cure, near, like, weight=len(near) / len(split))


def _shortcut(one: Shortcut) -> Finding:
    known = zip(one.reach, SPLITS, strict=True)
    reach = ", ".join(f"{value:.2f} in {split}" for value, split in known if value is not None)
    text = f"{one.fact} alone tells real from fake: AUC {reach}"
    return Finding("shortcut", "warning", text, CURES[one.fact], weight=1 + one.furthest)

"""The figures of an evaluation, each with its interval: of all images, of groups, and of two models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastffdi.evaluation import bootstrap, delong, measures
from fastffdi.evaluation.bootstrap import RESAMPLES, Interval
from fastffdi.evaluation.delong import Difference
from fastffdi.evaluation.metrics import FEWEST_FALSE_POSITIVES, Labels, Scores
from fastffdi.evaluation.scored import Scored

_NEEDS_NO_OTHER = ("accuracy_at", "log_loss", "brier", "ece")


@dataclass(frozen=True)
class Figure:
    """A measure of a set; without a value where a class is absent.

    Attributes:
        interval: 95 %, by the bootstrap
        note: why it says little; empty where it does not
    """

    value: float | None
    interval: Interval | None
    note: str = ""


@dataclass(frozen=True)
class Group:
    """The images with one value in a column.

    Attributes:
        joined: the class, of which it has none, that all images of the set stand in for; None where it has
            both
    """

    value: str
    reals: int
    fakes: int
    joined: str | None
    figures: dict[str, Figure]


@dataclass(frozen=True)
class Comparison:
    """Two models on the same images: first less second.

    Attributes:
        auc: DeLong's test of the AUCs; None with fewer than two images of a class
        intervals: 95 % of the difference of each measure, both on the same resamples
    """

    auc: Difference | None
    intervals: dict[str, Interval]


def figures(
    labels: Labels,
    scores: Scores,
    threshold: float | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Figure]:
    """The measures by name, of finite scores (N,) with labels (N,); N is at least 1.

    `threshold` is the model's own, where it has one.
    """
    labels, known = np.asarray(labels), measures.standard(threshold)
    if not (labels == 0).any() or not (labels == 1).any():
        whole = measures.whole(labels, scores)
        alone = {name for name in known if name.startswith(_NEEDS_NO_OTHER)}
        return {
            name: Figure(float(measure(whole)[0]) if name in alone else None, None, "one class only")
            for name, measure in known.items()
        }
    whole, found = measures.whole(labels, scores), bootstrap.intervals(labels, scores, known, resamples, seed)
    reals = int((labels == 0).sum())
    return {
        name: Figure(float(measure(whole)[0]), found[name], _doubt(name, reals))
        for name, measure in known.items()
    }


def groups(
    scored: Scored,
    column: str,
    threshold: float | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Group]:
    """The figures for each value of a column, in the order of the values.

    A group of one class, such as the fakes of one generator, is held against all images of the other.
    """
    values, found = scored.column(column), []
    for value in np.unique(values.astype(str)):
        own = values == value
        reals, fakes = (int((scored.labels[own] == label).sum()) for label in (0, 1))
        joined = None if reals and fakes else "fakes" if reals else "reals"
        if joined is not None:
            own = own | (scored.labels == (joined == "fakes"))
        part = figures(scored.labels[own], scored.scores[own], threshold, resamples, seed)
        found.append(Group(str(value), reals, fakes, joined, part))
    return found


def worst(found: list[Group]) -> Group | None:
    """The group with the lowest AUC; None where no group has one."""
    known = [(group.figures["auc"].value, k) for k, group in enumerate(found)]
    ranked = [(value, k) for value, k in known if value is not None]
    return found[min(ranked)[1]] if ranked else None


def compare(
    labels: Labels,
    first: Scores,
    second: Scores,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """The difference of two models on the same images, in the same order."""
    labels = np.asarray(labels)
    if not (labels == 0).any() or not (labels == 1).any():
        return Comparison(None, {})
    known = measures.standard()
    one, other = (bootstrap.resampled(labels, s, known, resamples, seed) for s in (first, second))
    intervals = {name: bootstrap.interval(one[name] - other[name]) for name in known}
    return Comparison(delong.difference(labels, first, second), intervals)


def _doubt(name: str, reals: int) -> str:
    target = name.removeprefix("tpr_at_fpr_")
    if target == name or float(target) * reals >= FEWEST_FALSE_POSITIVES:
        return ""
    return f"{reals:,} real images are too few; {FEWEST_FALSE_POSITIVES / float(target):,.0f} are enough"

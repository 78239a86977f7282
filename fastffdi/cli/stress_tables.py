"""What evaluate says of degraded images: tables for the terminal, rows for --json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from fastffdi.evaluation.bias import LEAST_SHIFT, Factor, Shift
from fastffdi.evaluation.bootstrap import Interval
from fastffdi.inference.examination import Shifted, Stressed
from fastffdi.inference.traits import SHARPNESS, Match

_CLASSES = ("real", "fake")

#: Of a fact that the forgery may leave itself.
_MAYBE = "which the forgery may leave as well"


def stressed(found: Sequence[Stressed], images: int, threshold: float, calibrated: bool) -> list[str]:
    """A line for the images as they are, and one for each degradation."""
    scale = "calibrated scores" * calibrated or "scores"
    head = f"  {'degraded':<13}{'':<22}     AUC   95 % interval     accuracy  log-loss     ECE"
    lines = ["", f"  {images:,} images, all degraded; accuracy at {threshold:.4g} of {scale}", head]
    for k, one in enumerate(found):
        name, words = (one.degradation.name, one.degradation.parameter) if k else ("as they are", "")
        auc, *others = (one.figures[key] for key in ("auc", "accuracy_at_threshold", "log_loss", "ece"))
        values = "    ".join(f"{other.value:.4f}" for other in others)
        lines.append(f"  {name:<13}{words:<22}  {auc.value:.4f}   {_between(auc.interval):<16}    {values}")
    return lines


def biased(
    shifted: Sequence[Shifted], factors: Sequence[Factor], matches: Mapping[str, Match], images: int
) -> list[str]:
    """The shift of each class alone, what each fact has to do with it, and the verdict."""
    if not shifted:
        return ["", f"  {images:,} images: the scores do not tell the classes apart, so that none can shift"]
    lines = [
        "",
        f"  {images:,} images, one class alone degraded; shift: share of the way to the other class",
        f"  {'degraded':<24}  {'reals':>7}   {'95 % interval':<17}{'AUC':>8}   {'fakes':>7}   "
        f"{'95 % interval':<17}{'AUC':>8}",
    ]
    for one in shifted:
        name, words = one.degradation.name, one.degradation.parameter
        lines.append(f"  {name:<10}{words:<14}  {_shift(one.reals)}   {_shift(one.fakes)}")
    return [*lines, *(f"  {line}" for factor in factors for line in _told(factor, matches)), verdict(factors)]


def verdict(factors: Sequence[Factor]) -> str:
    """Whether a shortcut was found, in one line."""
    found = [factor.fact for factor in factors if factor.found and factor.fact != SHARPNESS]
    if found:
        return f"  shortcut found: {' and '.join(found)}"
    return "  no shortcut found: neither JPEG quality nor size"


def stress_row(one: Stressed) -> dict[str, Any]:
    """A degradation as plain data."""
    return _named(one) | {"figures": {key: asdict(figure) for key, figure in one.figures.items()}}


def bias_rows(one: Shifted) -> Iterator[dict[str, Any]]:
    """A degradation of reals alone, then of fakes alone, as plain data."""
    for shift in (one.reals, one.fakes):
        yield _named(one) | {
            "class": _CLASSES[shift.label],
            "shift": shift.value,
            "interval": asdict(shift.interval),
            "auc": shift.auc,
            "auc_change": shift.auc_change,
            "auc_interval": asdict(shift.auc_interval),
            "auc_both_change": shift.auc_both_change,
        }


def factor_row(factor: Factor, match: Match | None) -> dict[str, Any]:
    """A fact as plain data."""
    row: dict[str, Any] = {
        "fact": factor.fact,
        **{f"median_{label}": value for label, value in zip(_CLASSES, factor.medians, strict=True)},
        "reach": factor.reach,
        "tells": factor.tells,
        "found": factor.found and factor.fact != SHARPNESS,
        "follows": factor.found,
    }
    if match is not None and factor.shift is not None:
        row |= {"class": _CLASSES[match.label], "shift": factor.shift.value}
        row |= {"name": match.degradation.name, "strength": match.degradation.strength}
        row |= {"interval": asdict(factor.shift.interval)}
    return row


def _told(factor: Factor, matches: Mapping[str, Match]) -> Iterator[str]:
    fact, (real, fake) = factor.fact, factor.medians
    if factor.reach is None or np.isnan([real, fake]).any():
        yield f"{fact}: not known of both classes"
        return
    apart = f"{real:.4g} in reals and {fake:.4g} in fakes, AUC {factor.reach:.2f} by it alone"
    if not factor.tells:
        yield f"{fact}: {apart}: does not tell them apart"
        return
    if factor.shift is None or fact not in matches:
        yield f"{fact}: {apart}; the medians are the same, so that neither class can be given the other's"
        return
    shift, given = factor.shift, matches[fact].degradation
    yield f"{fact}: {apart}"
    way = f"{shift.value:.2f} of the way ({shift.interval.low:.2f} … {shift.interval.high:.2f})"
    yield (
        f"  {_CLASSES[shift.label]}s given the other's ({given.name}, {given.parameter}) move {way}: "
        f"{_outcome(factor)}"
    )


def _outcome(factor: Factor) -> str:
    if not factor.found:
        return f"not beyond {LEAST_SHIFT:g}, no shortcut"
    return f"scores follow it, {_MAYBE}" if factor.fact == SHARPNESS else "a shortcut"


def _named(one: Stressed | Shifted) -> dict[str, Any]:
    degradation = one.degradation
    return {
        "name": degradation.name,
        "strength": degradation.strength,
        "parameter": degradation.parameter,
    }


def _shift(shift: Shift) -> str:
    interval = f"{shift.interval.low:+.2f} … {shift.interval.high:+.2f}"
    return f"{shift.value:+7.2f}   {interval:<17}{shift.auc_change:>+8.4f}"


def _between(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.low:.4f} … {interval.high:.4f}"

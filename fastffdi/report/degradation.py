"""Charts of what a model's figures do when images are degraded: all of them, or one class only.

They are of the record's `stress`, [{name, strength, parameter, figures: {measure: {value, interval}}}], and
`bias`, [{name, strength, class, shift, interval}]; `degraded` has how many reals and fakes it was done to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fastffdi.report.assessed import Assessed
from fastffdi.report.charts import Axis, Chart, around
from fastffdi.report.plots import style

_STRESS = {"auc": "AUC", "ece": "calibration error (ECE)"}


def stress(models: Sequence[Assessed], names: Sequence[str]) -> list[Chart]:
    """For each degradation that is known a chart of the AUC, and one of the calibration error."""
    rows = [list(one.record.get("stress") or []) for one in models]
    kinds = dict.fromkeys(row["name"] for model in rows for row in model)
    return [
        chart
        for kind in kinds
        for measure in _STRESS
        for chart in _stress(kind, measure, models, rows, names)
    ]


def bias(one: Assessed) -> list[Chart]:
    """For each degradation a chart of how the scores of either class shift; none where nothing is known."""
    rows = list(one.record.get("bias") or [])
    return [_bias(kind, [row for row in rows if row["name"] == kind], one) for kind in _names(rows)]


def _stress(
    kind: str,
    measure: str,
    models: Sequence[Assessed],
    rows: Sequence[Sequence[Mapping[str, Any]]],
    names: Sequence[str],
) -> Iterator[Chart]:
    own = [
        [row for row in model if row["name"] == kind and _value(row, measure) is not None] for model in rows
    ]
    if not any(own):
        return
    without = (one.figures[measure].value for one in models)
    values = [end for model in own for row in model for end in _spread(row, measure)]
    values += [value for value in without if value is not None]
    axis, places = _strengths([row for model in own for row in model])
    chart = Chart(
        f"{kind}: {_STRESS[measure]}",
        "All images degraded so strongly (right); dashed is without, and the shade is the 95 % interval.",
        axis,
        around(_STRESS[measure], values),
    )
    for k, (one, found) in enumerate(zip(models, own, strict=True)):
        if not found:
            continue
        if (plain := one.figures[measure].value) is not None:
            chart.line(f"guide {style(k)}", [chart.x.low, chart.x.high], [plain, plain])
        x = np.array([places[row["strength"]] for row in found], float)
        ends = [_ends(row["figures"][measure]) for row in found]
        if all(end is not None for end in ends):
            chart.band(style(k), x, *np.array(ends, float).T)
        chart.line(style(k), x, [row["figures"][measure]["value"] for row in found])
        reals, fakes = _counts(one)
        chart.legend.append((f"line {style(k)}", f"{names[k]}, {reals:,} real and {fakes:,} fake"))
    yield chart


def _bias(kind: str, rows: Sequence[Mapping[str, Any]], one: Assessed) -> Chart:
    ends = [end for row in rows for end in (row["shift"], *(_ends(row) or ()))]
    axis, places = _strengths(rows)
    chart = Chart(
        f"{kind}: shift of the scores",
        "How far the scores of a class move towards the other class (up: 0 is not at all, 1 all the way) "
        "when its images alone are degraded so strongly (right).",
        axis,
        around("shift towards the other class", [0.0, *ends]),
    )
    chart.line("guide", [axis.low, axis.high], [0, 0])
    for label, count in zip(("real", "fake"), _counts(one), strict=True):
        own = [row for row in rows if row["class"] == label]
        for row in own:
            if (between := _ends(row)) is not None:
                chart.whisker(label, places[row["strength"]], *between)
            chart.dot(label, places[row["strength"]], row["shift"])
        if own:
            chart.line(label, [places[row["strength"]] for row in own], [row["shift"] for row in own])
            chart.legend.append((f"line {label}", f"{label} images alone, {count:,}"))
    return chart


def _strengths(rows: Sequence[Mapping[str, Any]]) -> tuple[Axis, dict[float, int]]:
    """All strengths side by side, in the direction of the first two, and the place of each."""
    words = {row["strength"]: str(row.get("parameter", "")) for row in rows}
    given = list(words)
    places = {strength: k for k, strength in enumerate(sorted(words, reverse=given[:2] != sorted(given[:2])))}
    first, last = (words[list(places)[k]] for k in (0, -1))
    label = f"strength: {first} … {last}" if first and last else "strength"
    ticks = [(float(k), f"{strength:g}") for strength, k in places.items()]
    return Axis(label, -0.4, len(places) - 0.6, ticks), places


def _counts(one: Assessed) -> tuple[int, int]:
    """How many reals and fakes were degraded."""
    known = one.record.get("degraded") or {"reals": one.reals, "fakes": one.fakes}
    return known["reals"], known["fakes"]


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["name"] for row in rows))


def _value(row: Mapping[str, Any], measure: str) -> float | None:
    found = row["figures"].get(measure)
    return None if found is None else found["value"]


def _spread(row: Mapping[str, Any], measure: str) -> tuple[float, ...]:
    return row["figures"][measure]["value"], *(_ends(row["figures"][measure]) or ())


def _ends(found: Mapping[str, Any]) -> tuple[float, float] | None:
    interval = found.get("interval")
    return None if interval is None else (interval["low"], interval["high"])

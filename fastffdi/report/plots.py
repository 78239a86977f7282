"""The charts of a report, from scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastffdi.report import curves
from fastffdi.report.assessed import Assessed
from fastffdi.report.charts import Axis, Chart, decades, unit

#: Resamples behind a band are so many at most: its ends are drawn, not read to four digits.
_RESAMPLES = 500

#: Colours that lines can have, and as many dashes.
STYLES = 6

_REAL, _FAKE = "real", "fake"


def style(number: int) -> str:
    """The class of the line of one of several models."""
    return f"s{number % STYLES}"


def overlaid(models: Sequence[Assessed], names: Sequence[str], resamples: int, seed: int) -> list[Chart]:
    """ROC and precision-recall of all models that have both classes; none where no model has."""
    known = [(k, one) for k, one in enumerate(models) if one.both]
    if not known:
        return []
    least = min(curves.least_rate(one.reals) for _, one in known)
    charts = [_roc(least), _precision()]
    for k, one in known:
        given = (one.scored.labels, one.scored.scores, min(resamples, _RESAMPLES), seed, least)
        for chart, curve in zip(charts, curves.roc_and_precision(*given), strict=True):
            assert curve.low is not None
            assert curve.high is not None
            chart.band(style(k), curve.x, curve.low, curve.high)
            chart.line(style(k), curve.x, curve.y)
            chart.legend.append(
                (f"line {style(k)}", f"{names[k]}, {one.reals:,} real and {one.fakes:,} fake")
            )
    return charts


def own(one: Assessed) -> list[Chart]:
    """Histogram, reliability diagram and, with both classes, the Tippett plot of a model."""
    return [_histogram(one), _reliability(one), *([_tippett(one)] if one.both else [])]


def _roc(least: float) -> Chart:
    chart = Chart(
        "ROC curve",
        "How many fakes are found (up) for how many real images called fake (right, each step ten times as "
        "many): the nearer to the upper left the better; dashed is guessing, and the shade is the 95 % "
        "interval at each point.",
        decades("false positive rate (log scale)", least),
        unit("true positive rate"),
    )
    rates = np.geomspace(least, 1, 60)
    chart.line("guide", rates, rates)
    return chart


def _precision() -> Chart:
    return Chart(
        "Precision and recall",
        "The share of fakes among the images called fake (up) when so many of all fakes are found (right); "
        "it depends on how many of these images are fake.",
        unit("recall"),
        unit("precision"),
    )


def _histogram(one: Assessed) -> Chart:
    real, fake = curves.histogram(one.scored.labels, one.scored.scores)
    highest = max(0.05, np.ceil(20 * max(real.max(), fake.max())) / 20)
    ticks = [(share, f"{100 * share:.3g} %") for share in np.linspace(0, highest, 6).tolist()]
    chart = Chart(
        "Scores",
        "How the scores of each class are spread: the less the two overlap, the better they are told apart; "
        "the dashed line is the threshold.",
        unit("score, P(fake)"),
        Axis("share of the class", 0, float(highest), ticks),
    )
    edges = np.linspace(0, 1, curves.BARS + 1)
    chart.bars(_REAL, edges, real)
    chart.bars(_FAKE, edges, fake)
    chart.line("guide", [one.cut, one.cut], [0, highest])
    chart.legend = _classes(one, "area")
    return chart


def _reliability(one: Assessed) -> Chart:
    chart = Chart(
        "Reliability",
        "Of the images with about such a score (right), the share that is fake (up), with its 95 % interval: "
        "points on the dashed line are probabilities that mean what they say among these images.",
        unit("mean score, P(fake)"),
        unit("share of fakes"),
    )
    chart.line("guide", [0, 1], [0, 1])
    for found in curves.reliability(one.scored.labels, one.scored.scores):
        chart.whisker("s0", found.score, found.low, found.high)
        chart.dot("s0", found.score, found.share, f"{found.images:,} images, {found.share:.0%} of them fake")
    chart.legend = [("dot s0", f"a bin of scores; all have {len(one.scored):,} images")]
    return chart


def _tippett(one: Assessed) -> Chart:
    both = curves.tippett(one.scored.labels, one.calibrated)
    far = max(1, min(7, int(np.ceil(max(np.abs(curve.x).max() for curve in both)))))
    step = 1 if far < 4 else 2
    ticks = [(float(k), f"{k}".replace("-", "−")) for k in range(-far, far + 1) if k % step == 0]
    calibrated = one.fit is not None and one.fit.calibration is not None
    what = (
        "From scores calibrated on these very images, which flatters them."
        if calibrated
        else "From the odds of the scores, which are likelihood ratios only where the model is calibrated."
    )
    chart = Chart(
        "Tippett plot",
        "The share of images (up) whose evidence for fake is at least so strong (right: 0 is none, 1 is ten "
        "to one); reals right of 0, and fakes left of it, are misleading. " + what,
        Axis("log10 likelihood ratio", -far, far, ticks),
        unit("share of the class"),
    )
    chart.line("guide", [0, 0], [0, 1])
    for name, curve in zip((_REAL, _FAKE), both, strict=True):
        chart.line(name, [-far, *curve.x, curve.x[-1]], [1, *curve.y, 0])
    chart.legend = _classes(one, "line")
    return chart


def _classes(one: Assessed, kind: str) -> list[tuple[str, str]]:
    return [
        (f"{kind} {_REAL}", f"real, {one.reals:,} images"),
        (f"{kind} {_FAKE}", f"fake, {one.fakes:,} images"),
    ]

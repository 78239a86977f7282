"""Charts as paths in the user space of an SVG: numbers in, what a template writes out.

Colours and dashes are classes of the style sheet, so that a chart follows the page into the dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

#: The whole of a chart, and the corners of its plotting area.
WIDTH, HEIGHT = 460, 330
LEFT, TOP, RIGHT, BOTTOM = 58, 10, 448, 282


@dataclass(frozen=True)
class Axis:
    """A range of values, its label, and ticks: values with their words."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    log: bool = False

    def share(self, values: Iterable[float]) -> np.ndarray:
        """Where values (K,) are on the axis, from 0 to 1; those beyond an end are at it."""
        given = np.asarray(list(values) if not isinstance(values, np.ndarray) else values, np.float64)
        low, high = self.low, self.high
        if self.log:
            given, low, high = np.log10(np.maximum(given, low)), math.log10(low), math.log10(high)
        return np.clip((given - low) / (high - low), 0, 1)


@dataclass(frozen=True)
class Mark:
    """One path: its classes in the style sheet, its `d`, and what a pointer is told of it."""

    style: str
    path: str
    title: str = ""


@dataclass
class Chart:
    """A chart, to which lines, bands and the like are added in the order that they are drawn.

    Attributes:
        caption: how to read it, in one sentence
        legend: classes of the style sheet, each with what has them
    """

    title: str
    caption: str
    x: Axis
    y: Axis
    marks: list[Mark] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)

    def line(self, style: str, x: Iterable[float], y: Iterable[float]) -> None:
        """Straight lines through points."""
        self.marks.append(Mark(f"line {style}", "M" + " ".join(self._points(x, y))))

    def band(self, style: str, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        """The area between two lines."""
        around = self._points(np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]]))
        self.marks.append(Mark(f"band {style}", "M" + " ".join(around) + "Z"))

    def bars(self, style: str, edges: np.ndarray, heights: np.ndarray) -> None:
        """Bars of heights (K,) that stand between edges (K + 1,), as one outline."""
        x = np.concatenate([edges[:1], np.repeat(edges, 2)[1:-1], edges[-1:]])
        y = np.concatenate([[self.y.low], np.repeat(heights, 2), [self.y.low]])
        self.marks.append(Mark(f"bars {style}", "M" + " ".join(self._points(x, y)) + "Z"))

    def dot(self, style: str, x: float, y: float, title: str = "") -> None:
        """A point."""
        (at,) = self._points([x], [y])
        self.marks.append(Mark(f"dot {style}", f"M{at}h0", title))

    def whisker(self, style: str, x: float, low: float, high: float) -> None:
        """The interval of a point."""
        self.marks.append(Mark(f"whisker {style}", "M" + " ".join(self._points([x, x], [low, high]))))

    def ticks(self) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
        """Of both axes: where ticks are in the chart, with their words."""
        x, y = (axis.share([value for value, _ in axis.ticks]) for axis in (self.x, self.y))
        across = [round(LEFT + at * (RIGHT - LEFT), 1) for at in x.tolist()]
        down = [round(BOTTOM - at * (BOTTOM - TOP), 1) for at in y.tolist()]
        return (
            [(at, word) for at, (_, word) in zip(across, self.x.ticks, strict=True)],
            [(at, word) for at, (_, word) in zip(down, self.y.ticks, strict=True)],
        )

    def _points(self, x: Iterable[float], y: Iterable[float]) -> list[str]:
        across = (LEFT + self.x.share(x) * (RIGHT - LEFT)).tolist()
        down = (BOTTOM - self.y.share(y) * (BOTTOM - TOP)).tolist()
        return [f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True)]


def unit(label: str) -> Axis:
    """From 0 to 1."""
    return Axis(label, 0, 1, [(k / 5, f"{k / 5:g}") for k in range(6)])


def decades(label: str, low: float, high: float = 1) -> Axis:
    """Powers of ten, both ends included."""
    exponents = range(round(math.log10(low)), round(math.log10(high)) + 1)
    return Axis(
        label, low, high, [(10.0**k, f"{10.0**k:g}" if k > -5 else f"1e{k}") for k in exponents], True
    )


def around(label: str, values: Iterable[float], least: float = 0.02) -> Axis:
    """Wide enough for finite values, and for a range of `least`, with about five ticks at round numbers."""
    known = [float(value) for value in values]
    low, high = min(known, default=0.0), max(known, default=0.0)
    wide = max(high - low, least)
    low = min(low, (low + high - wide) / 2)
    step = 10.0 ** math.floor(math.log10(wide / 4))
    step *= next(times for times in (1, 2, 5, 10) if times * step >= wide / 4.5)
    first, last = math.floor(low / step + 1e-9), math.ceil((low + wide) / step - 1e-9)
    ticks = [(k * step, f"{k * step:.10g}".replace("-", "−")) for k in range(first, last + 1)]
    return Axis(label, first * step, last * step, ticks)

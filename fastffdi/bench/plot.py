"""A bar chart of speeds: loaders with quartile whiskers, ceilings as lines; as a PNG or as a page of HTML."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Protocol

from PIL import Image, ImageDraw, ImageFont

from fastffdi.bench.stopwatch import Quartiles
from fastffdi.errors import SettingError
from fastffdi.files import atomic
from fastffdi.preview.sheet import printable

KINDS = (".png", ".html")

#: A ceiling is drawn where it is less than so many times as fast as the fastest loader; else it is named.
_IN_SIGHT = 2.5

_PAPER, _INK, _FAINT, _GRID, _CEILING = "#ffffff", "#1c2430", "#6b7685", "#e3e7ec", "#b3261e"
_COLOURS = {"torchvision": "#9aa5b1", "cpu": "#2f6fb2", "dali": "#13795b"}

#: Pixels: width of the page, where bars begin and end, heights of a bar with its space and of a line of text.
_WIDTH, _LEFT, _RIGHT, _BAR, _LINE, _MARGIN = 860, 130, 790, 34, 20, 24
_TITLE, _HEADING, _TEXT = 20, 15, 13
_WRAP = 118  # letters


@dataclass(frozen=True)
class Panel:
    """One chart: img/s of loaders and of ceilings, by name."""

    title: str
    bars: dict[str, Quartiles]
    ceilings: dict[str, float]


class _Pen(Protocol):
    """What a chart is drawn with; places and sizes in pixels."""

    def rectangle(self, x: float, y: float, width: float, height: float, colour: str) -> None: ...

    def line(self, x: float, y: float, to_x: float, to_y: float, colour: str) -> None: ...

    def text(self, x: float, y: float, text: str, colour: str, size: int, anchor: str = "l") -> None:
        """`anchor` is l, m or r: the text begins, is centred or ends at x; y is its base line."""

    def written(self, title: str) -> bytes:
        """The file."""


def check(file: Path) -> None:
    """Raise SettingError where the file's name does not say what to draw, or its folder does not exist."""
    if file.suffix.lower() not in KINDS:
        raise SettingError(f"--plot {file}: is neither .png nor .html; name a file that ends so")
    if not file.resolve().parent.is_dir():
        raise SettingError(f"--plot {file}: the folder does not exist; make it first")


def plot(file: Path, title: str, panels: Sequence[Panel], remarks: Sequence[str]) -> None:
    """Draw the panels one below the other, all on one scale, with remarks below; whole or not at all."""
    lines = [line for remark in remarks for line in textwrap.wrap(remark, _WRAP)]
    scale = _scale(panels)
    heights = [_height(panel, scale) for panel in panels]
    height = 2 * _MARGIN + _LINE + sum(heights) + _LINE * len(lines)
    pen = _Png(height) if file.suffix.lower() == ".png" else _Svg(height)
    pen.text(_MARGIN, _MARGIN + _LINE / 2, title, _INK, _TITLE)
    top = _MARGIN + 2.0 * _LINE
    for panel, below in zip(panels, heights, strict=True):
        _draw(pen, panel, top, scale)
        top += below
    for line in lines:
        pen.text(_MARGIN, top, line, _FAINT, _TEXT)
        top += _LINE
    with atomic(file) as part:
        part.write_bytes(pen.written(title))


def _scale(panels: Sequence[Panel]) -> float:
    """img/s at the right end."""
    fastest = max((speed.q75 for panel in panels for speed in panel.bars.values()), default=1.0)
    rates = [rate for panel in panels for rate in panel.ceilings.values()]
    return 1.08 * max([fastest, *(rate for rate in rates if rate <= _IN_SIGHT * fastest)])


def _near(panel: Panel, scale: float) -> dict[str, float]:
    """The ceilings that are not beyond the scale."""
    return {name: rate for name, rate in panel.ceilings.items() if rate <= scale}


def _height(panel: Panel, scale: float) -> int:
    return 4 * _LINE + _LINE * len(_near(panel, scale)) + _BAR * len(panel.bars)


def _draw(pen: _Pen, panel: Panel, top: float, scale: float) -> None:
    near = _near(panel, scale)
    far = [f"{name} {rate:,.0f}" for name, rate in panel.ceilings.items() if name not in near]
    pen.text(_MARGIN, top, panel.title, _INK, _HEADING)
    if far:
        pen.text(_RIGHT, top, f"beyond the scale: {', '.join(far)}", _FAINT, _TEXT, "r")
    bars = top + _LINE / 2 + _LINE * len(near)
    foot = bars + _BAR * len(panel.bars)
    _draw_axis(pen, bars, foot, scale)
    for k, (name, speed) in enumerate(panel.bars.items()):
        _draw_bar(pen, name, speed, bars + _BAR * k, scale)
    for k, (name, rate) in enumerate(near.items()):
        x, y = _x(rate, scale), top + _LINE * (k + 1)
        pen.line(x, y + 4, x, foot, _CEILING)
        pen.text(x, y, f"{name} {rate:,.0f}", _CEILING, _TEXT, "m" if x < _RIGHT - 80 else "r")


def _draw_axis(pen: _Pen, top: float, foot: float, scale: float) -> None:
    step = _step(scale)
    for k in range(int(scale / step) + 1):
        x = _x(k * step, scale)
        pen.line(x, top, x, foot, _GRID)
        pen.text(x, foot + _LINE - 4, f"{k * step:,.0f}" + " images/s" * (k == 0), _FAINT, _TEXT, "m")


def _draw_bar(pen: _Pen, name: str, speed: Quartiles, top: float, scale: float) -> None:
    middle, thick = top + _BAR / 2, _BAR * 0.6
    low, high, end = (_x(rate, scale) for rate in (speed.q25, speed.q75, speed.median))
    pen.text(_LEFT - 10, middle + 5, name, _INK, _TEXT, "r")
    pen.rectangle(_LEFT, middle - thick / 2, end - _LEFT, thick, _COLOURS.get(name, _FAINT))
    pen.line(low, middle, high, middle, _INK)
    for x in (low, high):
        pen.line(x, middle - 5, x, middle + 5, _INK)
    pen.text(high + 8, middle + 5, f"{speed.median:,.0f}", _INK, _TEXT)


def _x(rate: float, scale: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * rate / scale


def _step(scale: float) -> float:
    """A round number of which about six go into the scale."""
    power = 10.0 ** (len(f"{scale / 6:.0f}") - 1)
    return next(times * power for times in (1, 2, 5, 10) if times * power >= scale / 6)


class _Svg:
    def __init__(self, height: int) -> None:
        self._height = height
        self._parts: list[str] = []

    def rectangle(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        size = f'width="{width:.1f}" height="{height:.1f}"'
        self._parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{colour}"/>')

    def line(self, x: float, y: float, to_x: float, to_y: float, colour: str) -> None:
        ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
        self._parts.append(f'<line {ends} stroke="{colour}" stroke-width="1.5"/>')

    def text(self, x: float, y: float, text: str, colour: str, size: int, anchor: str = "l") -> None:
        place = {"l": "start", "m": "middle", "r": "end"}[anchor]
        how = f'fill="{colour}" font-size="{size}" text-anchor="{place}"'
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {how}>{escape(text)}</text>')

    def written(self, title: str) -> bytes:
        head = f'<!doctype html>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        size = f'viewBox="0 0 {_WIDTH} {self._height}" width="{_WIDTH}" height="{self._height}"'
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">\n'
        return "\n".join([head + svg, *self._parts, "</svg>\n"]).encode()


class _Png:
    """Twice as fine as the page, for screens that are."""

    def __init__(self, height: int) -> None:
        self._paper = Image.new("RGB", (2 * _WIDTH, 2 * height), _PAPER)
        self._draw = ImageDraw.Draw(self._paper)

    def rectangle(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        self._draw.rectangle((2 * x, 2 * y, 2 * (x + width), 2 * (y + height)), colour)

    def line(self, x: float, y: float, to_x: float, to_y: float, colour: str) -> None:
        self._draw.line((2 * x, 2 * y, 2 * to_x, 2 * to_y), colour, 3)

    def text(self, x: float, y: float, text: str, colour: str, size: int, anchor: str = "l") -> None:
        # Pillow's own font has none of these.
        known = printable(text.translate({ord("×"): "x", ord("–"): "-"}))
        font = ImageFont.load_default(2 * size)
        self._draw.text((2 * x, 2 * y), known, colour, font, f"{anchor}s")

    def written(self, title: str) -> bytes:
        file = io.BytesIO()
        self._paper.save(file, "PNG", optimize=True)
        return file.getvalue()

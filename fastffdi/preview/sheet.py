"""A contact sheet: tables of thumbnails with titles and captions, drawn with Pillow's own font."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

#: Pixels: the longest side of a thumbnail, the widest that a row's title may be, and what lies between.
LARGEST, WIDEST_TITLE = 256, 190
_MARGIN, _GAP, _LINE = 28, 10, 20

_PAPER, _INK, _FAINT, _FRAME = "#ffffff", "#1c2430", "#6b7685", "#d5dae1"
_COLOURS = {"real": "#13795b", "fake": "#b3261e"}
_TITLE, _HEADING, _TEXT = 24, 17, 14


@dataclass(frozen=True)
class Cell:
    """An image (H, W, 3) uint8, the caption below it, and a fainter line below that."""

    image: np.ndarray
    caption: str = ""
    note: str = ""


@dataclass(frozen=True)
class Row:
    """Images side by side, with a title and a second, smaller line to their left."""

    title: str
    note: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Section:
    """A table of images below a heading; no row is longer than `columns`, their titles."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Row]


def sheet(title: str, remark: str, sections: Sequence[Section]) -> Image.Image:
    """The sections one below the other, below a title and a remark: an RGB image."""
    tables = [_Table(section, _titles_width(sections)) for section in sections]
    head = _MARGIN + 62
    widest = max(table.width for table in tables)
    width = max(widest, _width(title, _TITLE), _width(remark, _TEXT)) + 2 * _MARGIN
    height = head + sum(table.height + _MARGIN for table in tables)
    paper = Image.new("RGB", (int(width), int(height)), _PAPER)
    pen = ImageDraw.Draw(paper)
    pen.text((_MARGIN, _MARGIN - 4), printable(title), _INK, _font(_TITLE))
    pen.text((_MARGIN, _MARGIN + 32), printable(remark), _FAINT, _font(_TEXT))
    for table in tables:
        table.draw(paper, pen, head)
        head += table.height + _MARGIN
    return paper


class _Table:
    """A section with its measures: columns as wide and rows as high as their largest thumbnail."""

    def __init__(self, section: Section, titles: int) -> None:
        self.section, self._titles = section, titles
        self._thumbs = [[_thumbnail(cell.image) for cell in row.cells] for row in section.rows]
        self._rows = [max(thumb.height for thumb in row) for row in self._thumbs]
        self._lines = [max(_lines(cell) for cell in row.cells) for row in section.rows]
        self._columns = [self._column_width(k) for k in range(len(section.columns))]
        self.width = self._titles + sum(self._columns) + _GAP * (len(self._columns) - 1)
        self.height = 2 * _LINE + _GAP + sum(self._height(k) for k in range(len(self._rows))) - _GAP

    def _column_width(self, k: int) -> int:
        cells = [cell for row in self.section.rows for cell in row.cells[k : k + 1]]
        texts = [self.section.columns[k], *(text for cell in cells for text in (cell.caption, cell.note))]
        thumbs = [thumb.width for row in self._thumbs for thumb in row[k : k + 1]]
        return max([*(_width(text, _TEXT) for text in texts), *thumbs])

    def _height(self, row: int) -> int:
        return self._rows[row] + self._lines[row] * _LINE + _GAP

    def draw(self, paper: Image.Image, pen: ImageDraw.ImageDraw, top: int) -> None:
        pen.text((_MARGIN, top), printable(self.section.heading), _INK, _font(_HEADING))
        top += _LINE + _GAP
        lefts = np.cumsum([_MARGIN + self._titles, *(width + _GAP for width in self._columns)]).tolist()
        for left, width, column in zip(lefts, self._columns, self.section.columns, strict=False):
            pen.text((left + width / 2, top), column, _FAINT, _font(_TEXT), anchor="ma")
        top += _LINE
        for k, row in enumerate(self.section.rows):
            self._draw_title(pen, row, top + self._rows[k] // 2)
            for left, width, cell, thumb in zip(
                lefts, self._columns, row.cells, self._thumbs[k], strict=False
            ):
                _draw_cell(paper, pen, cell, thumb, (left, top, width, self._rows[k]))
            top += self._height(k)

    def _draw_title(self, pen: ImageDraw.ImageDraw, row: Row, middle: int) -> None:
        title, colour = shortened(row.title, WIDEST_TITLE), _COLOURS.get(row.note, _FAINT)
        pen.text((_MARGIN, middle - (2 if row.note else -5)), title, _INK, _font(_TEXT), anchor="ls")
        pen.text((_MARGIN, middle + _LINE - 4), row.note, colour, _font(_TEXT), anchor="ls")


def _titles_width(sections: Sequence[Section]) -> int:
    """One width for all, so that their columns are aligned."""
    rows = [row for section in sections for row in section.rows]
    widest = max(_width(text, _TEXT) for row in rows for text in (row.title, row.note))
    return min(widest, WIDEST_TITLE) + 2 * _GAP if widest else 0


def _draw_cell(
    paper: Image.Image,
    pen: ImageDraw.ImageDraw,
    cell: Cell,
    thumb: Image.Image,
    place: tuple[int, int, int, int],
) -> None:
    left, top, width, height = place
    x, y = left + (width - thumb.width) // 2, top + (height - thumb.height) // 2
    pen.rectangle((x - 1, y - 1, x + thumb.width, y + thumb.height), outline=_FRAME)
    paper.paste(thumb, (x, y))
    colour = _COLOURS.get(cell.caption, _INK)
    for line, (text, ink) in enumerate(((cell.caption, colour), (cell.note, _FAINT))):
        place_of_text = left + width / 2, top + height + 4 + line * _LINE
        pen.text(place_of_text, printable(text), ink, _font(_TEXT), anchor="ma")


def _lines(cell: Cell) -> int:
    return 2 if cell.note else 1 if cell.caption else 0


def printable(text: str) -> str:
    """The text with a question mark for what the font does not have."""
    return "".join(letter if " " <= letter <= "~" or letter in "…·" else "?" for letter in text)


def shortened(text: str, width: int) -> str:
    """The text, its middle left out where it is wider than `width` pixels."""
    text = printable(text)
    for kept in range(len(text), 1, -1):
        short = text if kept == len(text) else f"{text[: (kept + 1) // 2]}…{text[-(kept // 2) :]}"
        if _width(short, _TEXT) <= width:
            return short
    return text[:1]


def _thumbnail(image: np.ndarray) -> Image.Image:
    """At real size where no side is longer than LARGEST."""
    thumb = Image.fromarray(image)
    thumb.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return thumb


def _width(text: str, points: int) -> int:
    return int(np.ceil(_font(points).getlength(printable(text))))


@cache
def _font(points: int) -> Any:
    """Pillow's own; of which class depends on how Pillow was built."""
    return ImageFont.load_default(points)

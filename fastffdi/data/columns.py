"""The columns of a label file as text: those that are needed at once, and others when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from fastffdi.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Format:
    """How a file is written: what stands between its columns, how many they are, where its rows begin."""

    separator: str
    width: int
    line: int  # of the first row


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of a label file besides names and targets; nothing is read before one is asked for.

    Attributes:
        places: by name, which column of the file it is
        rows: (N,) int64, the rows of the file that are meant, in their order
    """

    file: Path
    format: Format
    places: dict[str, int]
    rows: np.ndarray

    def __getitem__(self, name: str) -> np.ndarray:
        """(N,) object array of str: the cells as they are written, without blanks around them.

        Raises DataError where there is no column of that name, or the file has changed meanwhile.
        """
        if name not in self.places:
            raise DataError(f"{self.file}: no column '{name}'{did_you_mean(name, self.places)}")
        try:
            with self.file.open(encoding="utf-8-sig") as text:
                (cells,) = read_cells(text, self.format, [self.places[name]])
        except (OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
            raise DataError(f"{self.file}: column '{name}' cannot be read ({error})") from None
        if len(self.rows) and self.rows.max() >= len(cells):
            raise DataError(f"{self.file}: has fewer lines than before; it must not change meanwhile")
        stripped = np.empty(len(self.rows), object)
        stripped[:] = [cell.strip() for cell in cells[self.rows]]
        return stripped

    def take(self, rows: np.ndarray | slice) -> Columns:
        """The columns of some of the rows (integers, a mask or a slice), in their order."""
        return replace(self, rows=self.rows[rows])


def read_cells(text: TextIO, how: Format, places: Sequence[int]) -> list[np.ndarray]:
    """The cells of some columns, each (rows,) object array of str, blank lines included.

    Raises what pandas does where the text is not CSV.
    """
    text.seek(0)  # pandas counts the columns by the header, since the first row may be short or blank
    table = pd.read_csv(
        text,
        sep=how.separator,
        skiprows=how.line - 2,
        header=0,
        names=range(how.width),
        usecols=list(places),
        index_col=False,
        dtype=object,
        na_filter=False,  # an image may be called NA
        skip_blank_lines=False,  # row numbers must give line numbers
    )
    return [table[place].to_numpy() for place in places]

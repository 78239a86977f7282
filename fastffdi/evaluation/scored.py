"""Images with their labels and scores, from anybody's model: what an evaluation is of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastffdi.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "real": 0, "fake": 1}


@dataclass(frozen=True, eq=False)
class Scored:
    """N images.

    Attributes:
        names: (N,) object array of str
        labels: (N,) int64, 0 = real, 1 = fake
        scores: (N,) float64, P(fake) in [0, 1]
        columns: further facts about each image, (N,) object arrays of str by name
        left_out: how many more images have no score
    """

    names: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: np.ndarray) -> Scored:
        """Some of the images (a mask, or integers)."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Scored(self.names[rows], self.labels[rows], self.scores[rows], columns, self.left_out)

    def known(self) -> Scored:
        """Those whose score is not NaN, as that of an image that was skipped. Raises DataError for none."""
        kept = ~np.isnan(self.scores)
        if not kept.any():
            raise DataError(f"none of {len(self)} images has a score")
        columns = {name: values[kept] for name, values in self.columns.items()}
        left_out = self.left_out + int((~kept).sum())
        return Scored(self.names[kept], self.labels[kept], self.scores[kept], columns, left_out)

    def column(self, name: str) -> np.ndarray:
        """(N,) values of a further column. Raises DataError where there is none of that name."""
        if name not in self.columns:
            known = ", ".join(self.columns) or "there is none"
            hint = did_you_mean(name, self.columns)
            raise DataError(f"--by {name}: no such column{hint}; further columns: {known}")
        return self.columns[name]


def read_scores(file: Path) -> Scored:
    """The images of a table img_name,target,y_pred, with any further columns; as predict and others write.

    An empty y_pred is an image that was skipped, and is left out. Raises DataError, in one line, for a file
    that is none, lacks a column, is empty, or has a target or a score that is none.
    """
    import pandas as pd

    try:
        # As objects: pandas' own strings cannot hold names that are not UTF-8 where pyarrow is installed.
        table = pd.read_csv(file, dtype=object, keep_default_na=False, encoding_errors="surrogateescape")
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, pd.errors.ParserError) as error:
        what = " ".join(str(error).split())[:200]
        raise DataError(f"{file}: not CSV ({what}); write img_name,target,y_pred") from None
    lacking = [name for name in ("img_name", "target", "y_pred") if name not in table]
    if lacking:
        has = ", ".join(map(repr, table.columns))
        raise DataError(
            f"{file}: no column {' and '.join(lacking)}; it has {has}; write img_name,target,y_pred"
        )
    if table.empty:
        raise DataError(f"{file}: lists no images; write a line for each")
    labels, scores = _labels(file, table["target"]), _scores(file, table["y_pred"])
    further = [name for name in table if name not in ("img_name", "target", "y_pred")]
    columns = {str(name): table[name].to_numpy(object) for name in further}
    return Scored(table["img_name"].to_numpy(object), labels, scores, columns).known()


def _labels(file: Path, words: pd.Series) -> np.ndarray:
    labels = words.str.strip().str.lower().map(_LABELS)
    bad = np.flatnonzero(labels.isna())
    if len(bad):
        raise DataError(f"{file}: line {bad[0] + 2}: target {words[bad[0]]!r} is not 0 (real) or 1 (fake)")
    return labels.to_numpy(np.int64)


def _scores(file: Path, words: pd.Series) -> np.ndarray:
    import pandas as pd

    scores, empty = pd.to_numeric(words, errors="coerce").to_numpy(np.float64), (words.str.strip() == "")
    bad = np.flatnonzero(~((scores >= 0) & (scores <= 1)) & ~empty.to_numpy())
    if len(bad):
        what = f"y_pred {words[bad[0]]!r} is not P(fake), from 0 to 1"
        cure = "empty cells are left out" if np.isnan(scores[bad[0]]) else "give probabilities, not logits"
        raise DataError(f"{file}: line {bad[0] + 2}: {what}; {cure}")
    return scores

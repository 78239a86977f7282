"""The validation scores of the best epoch in a run's folder: val_scores.csv, img_name,target,y_pred."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastffdi.data.manifest import Manifest
from fastffdi.errors import RunError
from fastffdi.escapes import escaped
from fastffdi.files import atomic
from fastffdi.training.folder import SCORES

COLUMNS = ["img_name", "target", "y_pred"]


@dataclass(frozen=True)
class Scores:
    """P(fake) of images; those that were skipped are not among them.

    Attributes:
        names: (n,) as the user wrote them
        labels: (n,) int64
        scores: (n,) float64, finite
    """

    names: list[str]
    labels: np.ndarray
    scores: np.ndarray

    @classmethod
    def of(cls, images: Manifest, scores: np.ndarray) -> Scores:
        """Of all rows of a manifest with labels, whose `scores` (rows,) are NaN where they were skipped."""
        assert images.labels is not None, "scores are compared with labels"
        kept = np.flatnonzero(np.isfinite(scores))
        return cls([str(name) for name in images.names[kept]], images.labels[kept], scores[kept])

    def save(self, folder: Path) -> None:
        """Write the file; nine digits give a single-precision score back to the bit. Raises as `atomic`."""
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow(COLUMNS)
        rows = zip(self.names, self.labels.tolist(), self.scores.tolist(), strict=True)
        table.writerows((name, label, f"{score:.9g}") for name, label, score in rows)
        with atomic(folder / SCORES) as part:
            # File names that are not UTF-8 have surrogates, and leave as the bytes they were.
            part.write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))

    @classmethod
    def read(cls, folder: Path) -> Scores | None:
        """Those that `save` has written; None where there are none. Raises RunError for another file."""
        path = folder / SCORES
        try:
            text = path.read_bytes().decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return None
        head, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
        try:
            if head != COLUMNS:
                raise ValueError(f"columns {','.join(head)}")
            names, labels, scores = zip(*rows, strict=True) if rows else ((), (), ())
            return cls([*names], np.array(labels, np.int64), np.array(scores, np.float64))
        except ValueError as error:
            reason = escaped(str(error))
            raise RunError(f"{path}: is no table of {','.join(COLUMNS)} ({reason}); delete it") from None

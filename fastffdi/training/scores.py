"""The validation scores of the best epoch in a run's folder: what `evaluate --scores` takes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastffdi.data.manifest import Manifest
from fastffdi.evaluation.scored import Scored, read_scores
from fastffdi.files import atomic
from fastffdi.training.folder import SCORES


def save(folder: Path, images: Manifest, scores: np.ndarray) -> None:
    """Write the table of a manifest with labels and its `scores` (rows,), NaN where an image was skipped.

    Those are left out. Nine digits give a single-precision score back to the bit. Raises as `atomic`.
    """
    write(folder / SCORES, [images], [scores])


def write(
    file: Path,
    parts: Sequence[Manifest],
    scores: Sequence[np.ndarray],
    column: str | None = None,
    cells: Sequence[np.ndarray] = (),
) -> None:
    """As `save`, the images of several manifests in one file, with the cells of a further column by manifest.

    Raises as `atomic`.
    """
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(("img_name", "target", "y_pred", *([] if column is None else [column])))
    for k, (images, own) in enumerate(zip(parts, scores, strict=True)):
        assert images.labels is not None, "scores are compared with labels"
        for row in np.flatnonzero(np.isfinite(own)):
            further = [] if column is None else [cells[k][row]]
            table.writerow((images.names[row], images.labels[row], f"{own[row]:.9g}", *further))
    with atomic(file) as part:
        # File names that are not UTF-8 have surrogates, and leave as the bytes they were.
        part.write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))


def read(folder: Path) -> Scored | None:
    """What `save` has written; None where there is nothing. Raises DataError for another file."""
    return read_scores(folder / SCORES) if (folder / SCORES).exists() else None

"""The tables that prediction writes: the challenge's CSV, and of the images that were skipped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from fastffdi.files import atomic
from fastffdi.inference.spreadsheet import cell


def write_errors(path: Path, reasons: Mapping[str, str], excel_safe: bool = False) -> None:
    """Write `img_name,reason` of images that were skipped; where there are none, remove the file.

    With `excel_safe`, no cell is one that a spreadsheet would run.
    """
    import pandas as pd

    if not reasons:
        path.unlink(missing_ok=True)
        return
    if excel_safe:
        _write_rows(path, "img_name,reason", ((cell(name), cell(why)) for name, why in reasons.items()))
        return
    with atomic(path) as part:
        table = pd.DataFrame({"img_name": list(reasons), "reason": list(reasons.values())})
        table.to_csv(part, index=False, errors="surrogateescape")


def write_csv(
    path: Path,
    names: np.ndarray,
    scores: np.ndarray,
    fill: str = "",
    excel_safe: bool = False,
    further: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write `img_name,y_pred`, one row per image in order, names as given; the file is whole or absent.

    A score that is NaN is written as `fill`. With `excel_safe`, names that a spreadsheet would run begin with
    an apostrophe. `further` columns (N,) hold plain words, and come last.
    """
    import pandas as pd

    further = further or {}
    if excel_safe:
        values = (cell(fill) if score != score else f"{score:.9g}" for score in scores.tolist())
        header = ",".join(("img_name", "y_pred", *further))
        _write_rows(path, header, zip(map(cell, names), values, *further.values(), strict=True))
        return
    with atomic(path) as part:
        table = pd.DataFrame({"img_name": names, "y_pred": scores, **further})
        # Nine digits tell any two float32 apart, so the file ranks as the scores do.
        # File names that are not UTF-8 arrive with surrogates, and leave as the bytes they were.
        table.to_csv(part, index=False, float_format="%.9g", na_rep=fill, errors="surrogateescape")


def _write_rows(path: Path, header: str, rows: Iterable[tuple[str, ...]]) -> None:
    """Write cells as they are; names of files that are not UTF-8 leave as the bytes they were."""
    with (
        atomic(path) as part,
        part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        file.write(f"{header}\n")
        file.writelines(",".join(row) + "\n" for row in rows)

"""Tables as parquet, by pyarrow, which is an extra."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastffdi.errors import SettingError

INSTALL = "pip install 'fastffdi[parquet]'"

#: The column of names that are no UTF-8, which parquet's words have to be: their bytes, null for all others.
BYTES = "img_name_bytes"


def write(file: Path, columns: Mapping[str, np.ndarray], fill: Mapping[str, float] | None = None) -> None:
    r"""Write columns (N,) of words or numbers, floats as they are.

    A number that is NaN is null, or what `fill` has for its column. Bytes that are not UTF-8 are shown as
    \xe9; where a name in the first column has such, a last column `img_name_bytes` has its bytes.
    """
    import pyarrow as pa
    from pyarrow import parquet

    fills, arrays = fill or {}, {}
    for name, values in columns.items():
        if name in fills:
            values = np.where(np.isnan(values), fills[name], values)
        words = values.dtype.kind == "O"
        arrays[name] = pa.array(map(_shown, values), pa.string()) if words else _numbers(values)
    names = next(iter(columns.values()))
    raw = [None if _is_text(name) else os.fsencode(name) for name in names]
    if any(raw):
        arrays[BYTES] = pa.array(raw, pa.binary())
    parquet.write_table(pa.table(arrays), file)


def is_table(file: Path) -> bool:
    """Whether the first columns are those of predict. Raises OSError where it cannot be read."""
    import pyarrow as pa
    from pyarrow import parquet

    with file.open("rb") as opened:
        try:
            return list(parquet.read_schema(opened).names[:2]) == ["img_name", "y_pred"]
        except (pa.ArrowException, OSError):
            return False


def require(file: Path) -> None:
    """Raise SettingError where pyarrow cannot be imported."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise SettingError(
            f"--output {file}: pyarrow is not installed; {INSTALL}, or name a .csv or .jsonl file"
        ) from None


def _numbers(values: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.array(values, from_pandas=True)  # NaN as null


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\udc80" <= character <= "\udcff" for character in name)


def _shown(text: str) -> str:
    return text if _is_text(text) else os.fsencode(text).decode("utf-8", "backslashreplace")

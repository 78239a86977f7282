"""Facts about files, kept in the cache folder so that a file that has not changed is not read again."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastffdi.audit.facts import FACTS, FORMATS, MODES, SUBSAMPLINGS
from fastffdi.data.source import path_digest
from fastffdi.files import atomic, cache_folder

# Raise it when the meaning of a fact changes: what older versions kept is then read anew.
_VERSION = 1
_ROW = np.dtype([("path", "S16"), ("identity", "<i8", 2), ("facts", FACTS)])


@dataclass(frozen=True)
class Memory:
    """What is known of the files below one folder: `table` (N,) sorted by path, kept in `file`."""

    file: Path
    table: np.ndarray

    @classmethod
    def of(cls, root: str) -> Memory:
        """What was kept for `root`; empty where nothing is, or nothing that can be trusted."""
        file = cache_folder() / "audit" / f"{path_digest(root).hex()}-{_VERSION}.npz"
        return cls(file, _load(file))

    def recall(self, rows: np.ndarray, full: bool) -> np.ndarray:
        """Fill `facts` of `rows` from those of the same identity; returns (N,) bool, whether it was known.

        With `full`, what was only looked at quickly does not count.
        """
        if not len(self.table):
            return np.zeros(len(rows), bool)
        near = self.table[np.searchsorted(self.table["path"], rows["path"]).clip(max=len(self.table) - 1)]
        known = (near["path"] == rows["path"]) & (near["identity"] == rows["identity"]).all(axis=1)
        if full:
            known &= near["facts"]["full"]
        rows["facts"][known] = near["facts"][known]
        return np.asarray(known)

    def keep(self, rows: np.ndarray) -> None:
        """Write `rows` and what else is known; faults are left out, so that they are looked at each time.

        A folder that cannot be written to costs time at the next check, never this one.
        """
        both = np.concatenate([rows[rows["facts"]["problem"] == 0], self.table])
        table = both[np.unique(both["path"], return_index=True)[1]]  # the first of a path: the newer
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with atomic(self.file) as part, part.open("wb") as file:
                np.savez(file, table=table)


def blank(paths: list[str]) -> np.ndarray:
    """Rows for `paths` with nothing in them yet but the digest of the path."""
    rows = np.zeros(len(paths), _ROW)
    rows["path"] = [path_digest(path) for path in paths]
    return rows


def _load(file: Path) -> np.ndarray:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            table: np.ndarray = stored["table"]
        whole = table.dtype == _ROW and table.ndim == 1 and _plausible(table["facts"])
    except Exception:  # a torn or foreign file breaks in many ways, and all mean: look at the images
        whole = False
    return table if whole else np.zeros(0, _ROW)


def _plausible(facts: np.ndarray) -> bool:
    limits = {"problem": 1, "format": len(FORMATS), "mode": len(MODES), "subsampling": len(SUBSAMPLINGS)}
    return all((facts[name] < limit).all() for name, limit in limits.items())

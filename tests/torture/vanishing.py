"""Files that change while a loader is on its way to them: `python -m torture.vanishing`."""

from __future__ import annotations

import json
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from torture.reader import built, steps

BATCH, BEFORE, SPOILT = 4, 3, 6


def _unlinked(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


FAULTS: dict[str, Callable[[Path], None]] = {
    "removed": _unlinked,
    "cut short": _cut,
    "emptied": _emptied,
    "replaced by a folder": _a_folder,
}


def main(name: str, fault: str, source: str, folder: str) -> None:
    """Print how many rows were lost, how many of the spoilt were noticed, and the slowest batch's seconds."""
    import numpy as np

    from fastffdi.data.manifest import Manifest
    from fastffdi.loaders.planner import BatchPlanner, cached
    from fastffdi.loaders.settings import LoaderSettings

    warnings.filterwarnings("ignore")
    images = Path(shutil.copytree(source, Path(folder) / "images"))
    names = sorted(path.name for path in images.iterdir())[:64]
    settings = LoaderSettings(1, BATCH, 1)
    manifest = Manifest(str(images), np.array(names, object), np.arange(len(names)) % 2)
    planner = BatchPlanner.over(manifest, steps(), settings, skip_corrupt=True)
    if name == "cached":
        (planner,) = cached([planner], Path(folder) / "cache")
    seen: list[int] = []
    noticed, slowest = 0, 0.0
    with closing(built(name, planner, settings)) as loader:
        batches = loader.epoch(0)
        for k in range(len(planner)):
            if k == BEFORE:
                for path in (images / one for one in names[-SPOILT:]):
                    FAULTS[fault](path)
            began = time.perf_counter()
            batch = next(batches)
            slowest = max(slowest, time.perf_counter() - began) if k else 0.0
            assert (batch.labels == batch.rows % 2).all(), "a label is another row's"
            seen += batch.rows.tolist()
            noticed += len(batch.corrupt)
    print(
        json.dumps({"lost": len(set(range(len(names))) - set(seen)), "noticed": noticed, "slowest": slowest})
    )


if __name__ == "__main__":
    main(*sys.argv[1:5])

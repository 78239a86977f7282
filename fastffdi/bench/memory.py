"""Memory: what is free on the machine, and what a loader will take of it."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from fastffdi.data.manifest import Manifest
from fastffdi.loaders.settings import LoaderSettings

_SAMPLE = 500

_MEMINFO = Path("/proc/meminfo")

#: Control groups, version 2: what this container may take, and what it takes.
_LIMIT, _TAKEN = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def available_gib() -> float | None:
    """Memory that programs can still take, within the container's limit; None where not known."""
    found = [size for size in (_free_bytes(), _left_bytes(), _physical_bytes()) if size is not None]
    return min(found) / 2**30 if found else None


def loader_gib(
    loader: str, settings: LoaderSettings, images: tuple[int, ...], itemsize: int, sizes: np.ndarray
) -> float:
    """Memory that a loader's batches and decoded images take, about, in GiB; without its programs.

    images    (N, H, W, 3) of a batch
    itemsize  bytes of a number of the normalised batch, two of which there are at a time
    sizes     (n, 2) height, width of images like those to come
    """
    numbers, decoded = math.prod(images), 3 * sizes.astype(np.int64).prod(axis=1)
    threads, under_way = settings.threads, settings.prefetch + 1
    if loader == "torchvision":  # float32, two batches for each worker, and the one in use
        made, whole = 4 * (2 * threads + 1) * numbers, threads * decoded.max()
    elif loader == "dali":  # decodes a batch before it goes on with it
        made, whole = under_way * numbers, under_way * images[0] * decoded.mean()
    else:  # decodes an image in each thread
        made, whole = under_way * numbers, threads * decoded.max()
    return float(made + 2 * numbers * itemsize + whole) / 2**30


def sample_sizes(manifest: Manifest, threads: int) -> np.ndarray:
    """(n, 2) height, width of some of the images, at most 500. Raises UndecodableImage."""
    some = manifest.take(np.random.default_rng(0).permutation(len(manifest))[:_SAMPLE])
    sizes = some.with_sizes(threads).sizes
    assert sizes is not None
    return sizes


def _free_bytes() -> int | None:
    with suppress(OSError, ValueError):
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _left_bytes() -> int | None:
    with suppress(OSError, ValueError):  # no limit is the word max
        return int(_LIMIT.read_text()) - int(_TAKEN.read_text())
    return None


def _physical_bytes() -> int | None:
    with suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None

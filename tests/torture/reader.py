"""Reads files by one loader, in a process of its own that may die of it: `python -m torture.reader`.

Prints a JSON line when a file's turn comes and one with what became of it.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

#: Height and width to which all images are resized.
SIZE = 128
#: Images in a batch of the second pass.
TOGETHER = 16
#: Files that one loader has at a time.
CHUNK = 256

LOADERS = ("cpu", "process", "cached", "dali", "torchvision")
REFERENCE = "Pillow"


class Read(NamedTuple):
    """A file's image (SIZE, SIZE, 3) uint8, or why there is none."""

    image: np.ndarray | None
    reason: str = ""


def by_pillow(path: str) -> Read:
    """The reference, apart from the package's own reading: Pillow as its documentation uses it."""
    from PIL import Image, ImageOps

    from fastffdi.render.cpu.renderer import render

    try:
        with Image.open(path) as file:
            turned = ImageOps.exif_transpose(file)
            if turned.mode.startswith("I;16"):  # Pillow's own conversion cuts off at 255
                turned = Image.fromarray((np.asarray(turned).astype(np.uint32) // 257).astype(np.uint8))
            image = np.array(turned.convert("RGB"))
    except Exception as error:  # it raises nearly every kind of exception
        return Read(None, " ".join(f"{type(error).__name__}: {error}".split()))
    return Read(render(image, program_for(image), 0))


def program_for(image: np.ndarray) -> Any:
    """The resize of a decoded image."""
    from fastffdi.recipe.lowering import lower
    from fastffdi.recipe.rng import CounterRNG

    zero, sizes = np.zeros(1, np.int64), np.array([image.shape[:2]], np.int32)
    return lower(steps()[:1], CounterRNG(0), 0, zero, zero, sizes)


def steps() -> tuple[Any, ...]:
    """What the loaders do to images."""
    from fastffdi.recipe.steps import STEPS

    normalize = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}
    return STEPS["resize"]((SIZE, SIZE)), STEPS["normalize"].read(normalize)


def by_loader(name: str, paths: list[str], together: int, cache: Path) -> Iterator[Read]:
    """The files by a loader, in batches of so many.

    Raises AssertionError where a row is lost, comes twice or has another's label.
    """
    from fastffdi.data.manifest import Manifest
    from fastffdi.loaders.planner import BatchPlanner, cached
    from fastffdi.loaders.settings import LoaderSettings

    settings = LoaderSettings(2, together, 1)
    manifest = Manifest("/", np.array(paths, object), np.arange(len(paths)) % 2)
    planner = BatchPlanner.over(manifest, steps(), settings, skip_corrupt=True)
    if name == "cached":
        (planner,) = cached([planner], cache)
    seen = 0
    with closing(built(name, planner, settings)) as loader:
        for batch in loader.epoch(0):
            rows = batch.rows.tolist()
            assert rows == list(range(seen, seen + len(rows))), f"rows {rows} came after {seen}"
            assert (batch.labels == batch.rows % 2).all(), "a label is another row's"
            seen += len(rows)
            yield from _reads(batch)
    assert seen == len(paths), f"{len(paths) - seen} rows are missing"


def built(name: str, planner: Any, settings: Any) -> Any:
    import torch

    from fastffdi.loaders.factory import build_loader

    cpu = torch.device("cpu")
    if name == "process":
        from fastffdi.loaders.process.loader import ProcessLoader

        return ProcessLoader(planner, settings, cpu)
    return build_loader("cpu" if name == "cached" else name, planner, settings, cpu)


def _reads(batch: Any) -> Iterator[Read]:
    reasons = {place: error.reason for place, error in batch.corrupt}
    images = batch.images
    if images.is_floating_point():  # torchvision's, which are normalised
        images = (images * 255).round().clamp(0, 255).byte()
    for place, image in enumerate(images.numpy()):
        assert bool(batch.valid[place]) == (place not in reasons), "valid and corrupt contradict each other"
        yield Read(None, reasons[place]) if place in reasons else Read(image.copy())


def _say(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def _one_by_one(name: str, paths: list[str], first: int, folder: Path) -> list[Read]:
    first_of_all = _warm_up(folder)
    reads, given = [], None
    if name == REFERENCE:
        by_pillow(first_of_all)
    else:
        given = by_loader(name, [first_of_all, *paths], 1, folder / "cache")
        next(given)
    for k, path in enumerate(paths, first):
        _say(begin=k)
        began = time.perf_counter()
        read = by_pillow(path) if given is None else next(given)
        seconds = time.perf_counter() - began
        if read.image is not None:
            np.save(folder / f"{name}-{k}.npy", read.image)
        _say(end=k, decoded=read.image is not None, reason=read.reason, seconds=round(seconds, 4))
        reads.append(read)
    if given is not None:
        assert next(given, None) is None
    return reads


def _warm_up(folder: Path) -> str:
    """An image that takes the time in which threads, processes and pipelines start."""
    from PIL import Image

    path = folder / "first.png"
    Image.new("RGB", (SIZE, SIZE)).save(path)
    return str(path)


def _together(name: str, paths: list[str], first: int, alone: list[Read], folder: Path) -> None:
    """Once more in larger batches: each as it was alone, whatever the others are."""
    for k, (one, other) in enumerate(
        zip(alone, by_loader(name, paths, TOGETHER, folder / "cache"), strict=True), first
    ):
        same = (one.image is None) == (other.image is None)
        if same and one.image is not None and other.image is not None:
            same = bool((one.image == other.image).all())
        if not same:
            _say(differs=k)


def main(name: str, listing: str, start: int, stop: int, gib: float) -> None:
    """Read the files from number `start` to `stop` of the listing, which are separated by NUL."""
    most = int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    warnings.filterwarnings("ignore")
    folder = Path(listing).parent
    paths = Path(listing).read_bytes().decode(errors="surrogateescape").split("\0")[start:stop]
    for begin in range(0, len(paths), CHUNK):
        chunk, first = paths[begin : begin + CHUNK], start + begin
        reads = _one_by_one(name, chunk, first, folder)
        if name != REFERENCE and len(chunk) > 1:
            _say(together=first)
            _together(name, chunk, first, reads, folder)
    _say(done=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))

"""What `--cache DIR` is going to keep of the images of a feed, where, and whether the disk has room for it.

A store is known by what decides which levels are in it: folder and names of the images, the steps behind
them, how they were decoded, and by which programs on which kind of machine.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import PIL
import simplejpeg
import torch

from fastffdi.cache.decoder import Cached
from fastffdi.cache.folder import amount, free_bytes, key
from fastffdi.cache.store import Store, total_bytes
from fastffdi.data.source import FILES, Files
from fastffdi.errors import SettingError
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.recipe.kernels import Normalize, Python, Warp, Window
from fastffdi.recipe.lowering import lower, needs_sizes, same_size, sizes_along
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps.base import Step

#: To be raised when decoding or rendering changes a pixel: what was stored before is not found any more.
_RENDERING = 1


def cached(
    planners: Sequence[BatchPlanner],
    folder: Path,
    threads: int,
    say: Callable[[str], None] = lambda line: None,
) -> list[BatchPlanner]:
    """The feeds, with what their recipes begin with taken from stores in `folder`, and put there at first.

    `say` gets the estimate. Raises SettingError where the disk has no room for all of it, or the folder
    cannot be written to.
    """
    plans = [Planned.of(planner, folder, threads) for planner in planners]
    say(estimate(plans))
    check_space(plans)
    return [plan.open() for plan in plans]


def loader_for(name: str) -> str:
    """The loader of cached images, where `--loader name` is given. Raises SettingError for another."""
    if not hasattr(os, "pwrite"):
        raise SettingError("--cache: not on this system, which cannot write to one file from many threads")
    if name not in ("auto", "cpu"):
        raise SettingError(
            f"--loader {name}: does not go with --cache, whose images only the cpu loader takes; leave out "
            "one of the two"
        )
    return "cpu"


def prefix(steps: Sequence[Step]) -> int:
    """How many leading steps make the same of an image in every epoch, bit by bit whatever renders them.

    Once all images have one size only windows do: from there on another renderer may take over. Warps that
    follow each other are one by definition, so that none is among them.
    """
    for k, (step, size) in enumerate(zip(steps, sizes_along(steps), strict=False)):
        kinds = set(step.kernels)
        if step.draws or step.views > 1 or kinds & {Warp, Python, Normalize}:
            return k
        if same_size(size) and kinds - {Window}:
            return k
    return len(steps)


@dataclass(frozen=True)
class Planned:
    """A feed, and the store that its images are to come from.

    folder       the store's own, in that of `--cache`
    description  what it holds, as plain data
    skip         how many of the feed's steps the stored images have behind them
    records      as Cached's
    sizes        (N, 2) height, width of the N stored images
    """

    planner: BatchPlanner
    folder: Path
    description: dict[str, Any]
    skip: int
    records: np.ndarray | None
    sizes: np.ndarray

    @classmethod
    def of(cls, planner: BatchPlanner, folder: Path, threads: int) -> Planned:
        """The plan for a feed, with a store in `folder`; nothing is written, but sizes may have to be probed.

        Raises SettingError for a recipe whose decoding depends on random numbers, UndecodableImage where a
        size cannot be probed.
        """
        skip, files = prefix(planner.steps), planner.source
        assert isinstance(files, Files)
        if not skip and files != FILES:
            raise SettingError(
                f"--cache {folder}: the recipe begins with {planner.steps[0].name()}, and with decode: "
                "{scaled: true} even decoding depends on what it draws; leave out one of the two"
            )
        records, first = _distinct(planner.manifest.names)
        names = os.fsencode("\0".join(planner.manifest.names[first]))
        description = {
            "root": planner.manifest.root,
            "names": hashlib.blake2b(names, digest_size=16).hexdigest(),
            "decode": asdict(files),
            "steps": [step.to_data() for step in planner.steps[:skip]],
            "by": _makers(),
        }
        sizes = _sizes_after(planner, skip, threads)[first]
        return cls(planner, folder / key(description), description, skip, records, sizes)

    @property
    def bytes(self) -> int:
        """What the store takes when it is full."""
        return total_bytes(self.sizes)

    @property
    def there(self) -> int:
        """How many images are stored."""
        return Store(self.folder).stored if self.folder.is_dir() else 0

    @property
    def missing_bytes(self) -> int:
        """What it will take besides what it takes now."""
        return Store(self.folder).missing_bytes if self.folder.is_dir() else self.bytes

    def open(self) -> BatchPlanner:
        """The feed with its images from the store, which is made if it is not there."""
        store = Store.make(self.folder, self.description, self.sizes)
        planner, files = replace(self.planner, skip=self.skip), self.planner.source
        assert isinstance(files, Files)
        sizes = planner.manifest.sizes if needs_sizes(planner.steps[: self.skip]) else None
        return replace(planner, source=Cached(store, files, planner.begun, self.records, sizes))


def estimate(plans: Sequence[Planned]) -> str:
    """One line: how much there will be, and how much of it is there."""
    once = _by_folder(plans)
    there = sum(plan.there for plan in once)
    return f"cache: {amount(sum(plan.bytes for plan in once))} for {_images(once)}, {there:,} there"


def check_space(plans: Sequence[Planned]) -> None:
    """Raise SettingError where the disk has not the room for what is missing."""
    once = _by_folder(plans)
    folder = once[0].folder.parent
    missing, free = sum(plan.missing_bytes for plan in once), max(0, free_bytes(folder))
    if missing > free:
        raise SettingError(
            f"--cache {folder}: needs {amount(missing)} for {_images(once)}, {amount(free)} are free; name "
            "a folder on another disk, or leave out --cache"
        )


def _distinct(names: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | slice]:
    """The number of each row's image, None where no name comes twice; and the first row of each image."""
    codes, distinct = pd.factorize(names)
    if len(distinct) == len(names):
        return None, slice(None)
    return codes.astype(np.int64), np.unique(codes, return_index=True)[1]


def _sizes_after(planner: BatchPlanner, skip: int, threads: int) -> np.ndarray:
    """(rows, 2) height, width of all images after the first steps."""
    n = len(planner.manifest)
    *_, size = sizes_along(planner.steps[:skip])
    if same_size(size):
        return np.broadcast_to(size[0], (n, 2))
    sizes = planner.manifest.with_sizes(threads).sizes
    assert sizes is not None
    rows = np.arange(n)
    for kernel in lower(planner.steps[:skip], CounterRNG(0), 0, rows, np.zeros_like(rows), sizes).kernels:
        sizes = kernel.out_size(sizes)
    return sizes


def _makers() -> dict[str, Any]:
    """What decides besides file and steps which levels come out."""
    return {
        "rendering": _RENDERING,
        "simplejpeg": simplejpeg.__version__,
        "pillow": PIL.__version__,
        "opencv": cv2.__version__,
        "torch": torch.__version__,
        "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def _by_folder(plans: Sequence[Planned]) -> list[Planned]:
    return list({plan.folder: plan for plan in plans}.values())


def _images(plans: Sequence[Planned]) -> str:
    sizes = np.concatenate([plan.sizes for plan in plans])
    shape = f"{sizes[0, 0]}×{sizes[0, 1]}" if same_size(sizes) else "various sizes"
    return f"{len(sizes):,} images of {shape}"

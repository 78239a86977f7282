"""What `--cache DIR` will keep of a manifest's images, where, and whether the disk has room for it.

A store is known by what decides which pixel values a file becomes: the steps that have been applied, how it
was decoded, and by which programs on which kind of machine. It holds any images, whatever list they are on:
training and validation share it where their recipes begin alike.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
import simplejpeg
import torch

from fastffdi.cache.contents import Contents, contents
from fastffdi.cache.decoder import CachedDecoder
from fastffdi.cache.folder import free_bytes, key, listing, readable_bytes, stores
from fastffdi.cache.store import Store
from fastffdi.data.manifest import Manifest
from fastffdi.data.source import path_digest
from fastffdi.errors import SettingError
from fastffdi.recipe.kernels import Normalize, Python, Warp, Window
from fastffdi.recipe.lowering import lower, needs_sizes, same_size, sizes_along
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps.base import Step
from fastffdi.render.cpu.decode import SourceDecoder

#: To be raised when decoding or rendering changes a pixel: what was stored before is not found any more.
_RENDERING = 2


def prefix_of(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The leading steps that make the same of an image in every epoch, bit by bit whatever renders them.

    Once all images have one size only windows qualify: from there on another renderer may take over. Warps
    that follow each other are one by definition, so that none is among them.
    """
    for k, (step, size) in enumerate(zip(steps, sizes_along(steps), strict=False)):
        kinds = set(step.kernels)
        if step.draws.total or step.views > 1 or kinds & {Warp, Python, Normalize}:
            return tuple(steps[:k])
        if same_size(size) and kinds - {Window}:
            return tuple(steps[:k])
    return tuple(steps)


@dataclass(frozen=True)
class CachePlan:
    """A manifest's images after the prefix of a recipe's steps, and the store that is to hold them.

    Attributes:
        folder: the store's own, in that of `--cache`
        description: what it holds, as plain data
        prefix: the steps that are applied to the stored images
        paths: (rows,) S16, digests of the images' paths
        sizes: (rows, 2) height, width of the images as they are stored
    """

    manifest: Manifest
    decoder: SourceDecoder
    folder: Path
    description: dict[str, Any]
    prefix: tuple[Step, ...]
    paths: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(
        cls, manifest: Manifest, steps: tuple[Step, ...], decoder: SourceDecoder, folder: Path, threads: int
    ) -> CachePlan:
        """The plan for images and steps, with a store in `folder`; nothing is written, sizes may be probed.

        Raises SettingError for a recipe whose decoding depends on random numbers or a system that cannot
        write to one file from many threads, UndecodableImage where no size can be probed.
        """
        if not hasattr(os, "pwrite"):
            raise SettingError(
                "--cache: not on this system, which cannot write to one file from many threads"
            )
        prefix = prefix_of(steps)
        if not prefix and decoder.scaled:
            raise SettingError(
                f"--cache {folder}: the recipe begins with {steps[0].name()}, and with decode: "
                "{scaled: true} even decoding depends on its random numbers; leave out one of the two"
            )
        description = {
            "decode": {"scaled": decoder.scaled},
            "steps": [step.to_data() for step in prefix],
            "by": makers(),
        }
        sizes = _sizes_after(manifest, prefix, decoder, threads)
        return cls(manifest, decoder, folder / key(description), description, prefix, _paths(manifest), sizes)

    @property
    def images(self) -> int:
        """How many images there are, each counted once."""
        return len(np.unique(self.paths))

    def open(self) -> CachedDecoder:
        """The decoder that takes its images from the store, in which places are reserved for them."""
        store = Store.make(self.folder, self.description)
        sizes = self.manifest.sizes if needs_sizes(self.prefix) else None
        return CachedDecoder(store, self.decoder, store.reserve(self.paths, self.sizes), sizes)


def needed(plans: Sequence[CachePlan]) -> list[Contents]:
    """What the plans need of each store, as it is now."""
    return contents([(plan.folder, plan.paths, plan.sizes) for plan in plans])


def makers() -> dict[str, Any]:
    """What decides, besides file and steps, which pixel values come out."""
    return {
        "rendering": _RENDERING,
        "simplejpeg": simplejpeg.__version__,
        "pillow": PIL.__version__,
        "opencv": cv2.__version__,
        "torch": torch.__version__,
        "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def estimate(plans: Sequence[CachePlan]) -> str:
    """One line: how much there will be, and how much of it is stored."""
    stores = needed(plans)
    size = readable_bytes(sum(store.bytes for store in stores))
    return f"cache: {size} for {_images(stores)}, {sum(store.stored for store in stores):,} stored"


def check_space(plans: Sequence[CachePlan]) -> None:
    """Raise SettingError where the disk has not the room for what is missing."""
    needs, folder = needed(plans), plans[0].folder.parent
    missing, free = sum(store.missing_bytes for store in needs), max(0, free_bytes(folder))
    if missing > free:
        used = {plan.folder for plan in plans}
        other = sum(store.bytes for store in stores(folder) if store.path not in used)
        has = f", {readable_bytes(other)} in other stores ({listing(folder)} names them)" if other else ""
        raise SettingError(
            f"--cache {folder}: needs {readable_bytes(missing)} for {_images(needs)}, "
            f"{readable_bytes(free)} are free{has}; name a folder on another disk, or leave out --cache"
        )


def unused(folder: Path) -> str | None:
    """One line about the stores in a folder in which this version finds nothing on this machine, if any."""
    ours = makers()
    found = [store for store in stores(folder) if not store.usable(ours)]
    if not found:
        return None
    named = ", ".join(f"{store.path.name} ({readable_bytes(store.bytes)})" for store in found[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return (
        f"cache: stores of another version or kind of machine in {folder}, not used here: {named}{more}; "
        f"{listing(folder)} says what they hold, --clear removes all stores"
    )


def _paths(manifest: Manifest) -> np.ndarray:
    """(rows,) S16: digests of the images' paths; the same whatever link the data were found by."""
    found = replace(manifest, root=os.path.realpath(manifest.root)).paths()
    return np.array(list(map(path_digest, found)), "S16")


def _sizes_after(
    manifest: Manifest, prefix: tuple[Step, ...], decoder: SourceDecoder, threads: int
) -> np.ndarray:
    """(rows, 2) height, width of all images after the prefix."""
    n = len(manifest)
    *_, size = sizes_along(prefix)
    if same_size(size):
        return np.broadcast_to(size[0], (n, 2))
    # Guessed where they cannot be learnt: whether such images are skipped is decided when they are decoded.
    sizes = manifest.with_sizes(threads, decoder.source, guess=True).sizes
    rows = np.arange(n)
    for kernel in lower(prefix, CounterRNG(0), 0, rows, np.zeros_like(rows), sizes).kernels:
        sizes = kernel.out_size(sizes)
    assert sizes is not None
    return sizes


def _images(stores: Sequence[Contents]) -> str:
    sizes = np.concatenate([store.sizes for store in stores])
    shape = f"{sizes[0, 0]}×{sizes[0, 1]}" if same_size(sizes) else "various sizes"
    return f"{len(sizes):,} images of {shape}"

"""How much memory a loader's images take, and what it may have in hand with what there is."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import torch

from fastffdi.data.headers import image_size
from fastffdi.errors import UndecodableImage
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import GIB, LoaderSettings
from fastffdi.recipe.lowering import output_size
from fastffdi.recipe.program import Program
from fastffdi.render.cpu.decode import SourceDecoder
from fastffdi.render.cpu.shared import SharedDecoder
from fastffdi.world import World

_HOST = torch.device("cpu")

#: Images whose headers are read to learn how large they are, where that is not known.
_SAMPLE = 64

#: Bytes for each decoded pixel that a thread holds: the image, and a copy that is turned upright.
_THREAD_BYTES = 2 * 3

#: Runs of DALI's pipeline whose decoded images are in memory, however many are in flight.
_DALI_RUNS = 2

#: Where a control group (Linux, version 2) says what it may use, and uses: the memory of a container.
_CGROUP = Path("/sys/fs/cgroup")


class Need(NamedTuple):
    """Bytes that the cpu loader's images take: always, and for each batch that it is ahead."""

    fixed: float
    per_batch: float

    def bytes(self, prefetch: int) -> float:
        return self.fixed + self.per_batch * prefetch


def within_cap(planner: BatchPlanner, settings: LoaderSettings) -> LoaderSettings:
    """The settings for the cpu loader, with fewer batches ahead where more would not fit in `memory_cap`.

    A warning says so, and where not even none does.
    """
    cap, need = cap_bytes(settings), need_of(planner, settings)
    fitting = next((n for n in range(settings.prefetch, 0, -1) if need.bytes(n) <= cap), 0)
    taken, problem = need.bytes(fitting), f"{fitting} of {settings.prefetch} batches are made ahead"
    if fitting < settings.prefetch or taken > cap:
        _warn("cpu", problem, taken, cap)
    return replace(settings, prefetch=fitting)


def decoded_at_once(planner: BatchPlanner, settings: LoaderSettings, device: torch.device) -> int:
    """How many images of a batch dali is to decode at once, so as to fit in `memory_cap` on the device.

    A warning says so where these are not whole batches, and where not even one for each thread fits.
    """
    cap, largest = cap_bytes(settings, device), _DALI_RUNS * 3 * _pixels(planner).max()
    size, least = planner.largest, min(settings.threads, planner.largest)
    fitting = max(least, min(size, int(cap / max(largest, 1))))
    if fitting < size or fitting * largest > cap:
        where = "" if device.type == "cpu" else f" in the memory of {device}"
        _warn("dali", f"{fitting} of {size} images are decoded at once{where}", fitting * largest, cap)
    return fitting


def cap_bytes(settings: LoaderSettings, device: torch.device = _HOST) -> float:
    """The settings' cap in bytes; half of what is free for images on `device` where they have none.

    The processes of a run that are on this machine share its memory.
    """
    if settings.memory_cap is not None:
        return settings.memory_cap * GIB
    return free_bytes(device) / 2 / (World.here().local_size if device.type == "cpu" else 1)


def free_bytes(device: torch.device = _HOST) -> float:
    """Memory that this process may still take, in bytes: a GPU's, the machine's, or its control group's."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    free = float(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # no such file; and "max" where there is no limit
        limit, used = (int((_CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        free = min(free, max(limit - used, 0))
    return free


def need_of(planner: BatchPlanner, settings: LoaderSettings) -> Need:
    """What the cpu loader's images take, from the recipe and the sizes of some of them."""
    prefix, program = planner.template
    height, width = output_size(Program((*prefix.kernels, *program.kernels)))
    rendered = planner.largest * height * width * 3
    # One batch is being rendered, and one is the consumer's.
    return Need(settings.threads * _THREAD_BYTES * _pixels(planner).max() + 2 * rendered, rendered)


def _pixels(planner: BatchPlanner) -> np.ndarray:
    """(n,) pixels of n images, of all where their sizes are known; a 0 where none can be learnt."""
    manifest, decoder = planner.manifest, planner.decoder
    if isinstance(decoder, SharedDecoder):
        decoder = decoder.decoder
    if not isinstance(decoder, SourceDecoder):
        return np.zeros(1)  # from a cache, as large as the recipe's first steps make them
    if manifest.sizes is not None and len(manifest):
        return manifest.sizes.astype(np.float64).prod(axis=1)
    found = [0.0]
    rows = np.linspace(0, len(manifest) - 1, min(_SAMPLE, len(manifest))).astype(int)
    for path in manifest.paths(rows):
        with suppress(UndecodableImage):  # which the loader will report
            found.append(float(np.prod(image_size(path, decoder.source))))
    return np.array(found[1:] or found)


def _warn(loader: str, what: str, taken: float, cap: float) -> None:
    more = "" if taken <= cap else f"; they still take about {taken / GIB:.1f} GiB, lower --batch-size"
    logging.getLogger(__name__).warning(
        "--memory-cap %.1f (GiB): for --loader %s %s%s", cap / GIB, loader, what, more
    )

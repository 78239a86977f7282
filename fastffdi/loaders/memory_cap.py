"""How much memory a loader's images take, and how many batches it may be ahead with what there is."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from fastffdi.data.headers import image_size
from fastffdi.errors import UndecodableImage
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import GIB, LoaderSettings
from fastffdi.recipe.lowering import output_size
from fastffdi.recipe.program import Program
from fastffdi.render.cpu.decode import SourceDecoder

#: Images whose headers are read to learn how large they are, where that is not known.
_SAMPLE = 64

#: Bytes for each decoded pixel that a thread holds: the image, and a copy that is turned upright.
_THREAD_BYTES = 2 * 3

#: Where a control group (Linux, version 2) says what it may use, and uses: the memory of a container.
_CGROUP = Path("/sys/fs/cgroup")


class Need(NamedTuple):
    """Bytes that a loader's images take: always, and for each batch that it is ahead."""

    fixed: float
    per_batch: float

    def bytes(self, prefetch: int) -> float:
        return self.fixed + self.per_batch * prefetch


def within_cap(name: str, planner: BatchPlanner, settings: LoaderSettings) -> LoaderSettings:
    """The settings with fewer batches ahead where those they ask for would take more than `memory_cap`.

    A warning says so, and where even the fewest take more. For loaders that render on the CPU, `name` being
    dali or cpu; torchvision's DataLoader decides by itself.
    """
    if name == "torchvision":
        return settings
    cap, need = cap_bytes(settings), need_of(name, planner, settings)
    least = 1 if name == "dali" else 0
    asked = max(settings.prefetch, least)
    fitting = next((n for n in range(asked, least, -1) if need.bytes(n) <= cap), least)
    if fitting < asked:
        _warn(name, asked, fitting, need, cap)
        return replace(settings, prefetch=fitting)
    return settings


def cap_bytes(settings: LoaderSettings) -> float:
    """The settings' cap in bytes; half of what is free where they have none."""
    return settings.memory_cap * GIB if settings.memory_cap is not None else free_bytes() / 2


def free_bytes() -> float:
    """Memory that this process may still take, in bytes: the machine's, or its control group's."""
    free = float(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # no such file; and "max" where there is no limit
        limit, used = (int((_CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        free = min(free, max(limit - used, 0))
    return free


def need_of(name: str, planner: BatchPlanner, settings: LoaderSettings) -> Need:
    """What a loader's images take, from the recipe and the sizes of some of them."""
    prefix, program = planner.template
    height, width = output_size(Program((*prefix.kernels, *program.kernels)))
    rendered = planner.batch_size * height * width * 3
    pixels = _pixels(planner)
    if name == "dali":  # keeps all the decoded images of a batch
        decoded = planner.batch_size * 3 * pixels.mean()
        return Need(2 * (decoded + rendered), decoded + rendered)
    # One batch is being rendered, and one is the consumer's.
    return Need(settings.threads * _THREAD_BYTES * pixels.max() + 2 * rendered, rendered)


def _pixels(planner: BatchPlanner) -> np.ndarray:
    """(n,) pixels of n images, of all where their sizes are known; a 0 where none can be learnt."""
    manifest, decoder = planner.manifest, planner.decoder
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


def _warn(name: str, asked: int, fitting: int, need: Need, cap: float) -> None:
    held = need.bytes(fitting) / GIB
    more = "" if need.bytes(fitting) <= cap else f", and still takes about {held:.1f} GiB; lower --batch-size"
    logging.getLogger(__name__).warning(
        "--loader %s: keeps %d of %d batches ahead, so as to stay within %.1f GiB%s",
        name,
        fitting,
        asked,
        cap / GIB,
        more,
    )

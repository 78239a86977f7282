"""Ceilings: parts of a loader's work on their own, upper bounds for every loader on this machine.

file read       open and read the files in threads, from the page cache where that holds them
JPEG decode     plain libjpeg-turbo calls (simplejpeg) on bytes in memory, in threads
memory copy     copy one batch, of the kind that is counted, in threads
GPU decoder     CUDA with DALI only: DALI reads and decodes, and keeps one pixel of each image
host to device  CUDA only: copy a uint8 batch from page-locked memory to the device
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass

import numpy as np
import simplejpeg
import torch

from fastffdi.bench.loader import EPOCH, Settings, planner_over
from fastffdi.bench.stream import Stream, arrivals, arrived, endless
from fastffdi.data.manifest import Manifest
from fastffdi.data.source import FILES
from fastffdi.loaders import factory
from fastffdi.recipe.lowering import output_size, template
from fastffdi.recipe.steps.base import Step
from fastffdi.recipe.steps.colour import NormalizeStep
from fastffdi.recipe.steps.geometry import CenterCrop

READ, DECODE, COPY, DECODER, TRANSFER = (
    "file read", "JPEG decode", "memory copy", "GPU decoder", "host to device"
)  # fmt: skip

#: How much shorter a turn of a ceiling is than one of a loader: its rate varies less.
SHORTER = 4

#: Images and bytes of the sample that is decoded, at most.
_MOST_IMAGES, _MOST_BYTES = 1000, 256 << 20

#: Images a thread takes at a time.
_SPAN = 8


@dataclass(frozen=True, eq=False)
class Sample:
    """Images drawn from a manifest; all of them where they are few.

    Attributes:
        manifest: their rows, with sizes
        jpegs: the bytes of those that simplejpeg decodes
    """

    manifest: Manifest
    jpegs: tuple[bytes, ...]

    @property
    def median_size(self) -> tuple[int, int]:
        """Height and width in pixels of the image of median area."""
        sizes = self.manifest.sizes
        assert sizes is not None
        middle = np.argsort(sizes.prod(axis=1, dtype=np.int64), kind="stable")[len(sizes) // 2]
        return int(sizes[middle, 0]), int(sizes[middle, 1])

    def sentence(self) -> str:
        """Which images are decoded."""
        left_out = len(self.manifest) - len(self.jpegs)
        others = f" ({left_out} files of other kinds, or refused by it, left out)" if left_out else ""
        return f"{len(self.jpegs)} JPEGs in memory{others}"


def sample(
    manifest: Manifest, threads: int, seed: int, images: int | None = None, size: int | None = None
) -> Sample:
    """At most so many images of at most `size` bytes, by default 1000 of 256 MiB, but at least one.

    Raises UndecodableImage.
    """
    images, size = images or _MOST_IMAGES, size or _MOST_BYTES
    drawn = manifest.take(np.random.default_rng(seed).permutation(len(manifest))[:images])
    drawn = drawn.with_sizes(threads)
    files: list[bytes] = []
    held = 0
    for path in drawn.paths():
        data = FILES.read(path)
        held += len(data)
        if files and held > size:
            break
        files.append(data)
    with ThreadPoolExecutor(threads) as pool:
        decodable = list(pool.map(_decodes, files))
    return Sample(drawn.take(slice(len(files))), tuple(itertools.compress(files, decodable)))


def names(device: torch.device) -> tuple[str, ...]:
    """The ceilings for batches that go to the device."""
    decoder = () if factory.dali_problem() else (DECODER,)
    return (READ, DECODE, COPY, *((*decoder, TRANSFER) if device.type == "cuda" else ()))


def ceilings(
    drawn: Sample, manifest: Manifest, steps: tuple[Step, ...], settings: Settings, span: int = _SPAN
) -> list[Stream]:
    """The ceilings of loaders that render these steps of the manifest's images.

    `span`: images that a thread reads or decodes at a time.
    """
    threads, size = settings.threads, settings.loading.batch_size
    uint8 = torch.empty(_batch_shape(steps, size), dtype=torch.uint8)
    batch = uint8 if settings.to == "uint8" else uint8.to(settings.dtype)
    order = np.random.default_rng(settings.seed).permutation(len(manifest))
    # Both go on where they were when a stream is started anew.
    jpegs, paths = _spans(drawn.jpegs, span), (manifest.paths(rows) for rows in _spans(order, span))
    copy, parts = _copier(batch.view(size, -1)), _spans(range(size), -(-size // threads))
    starts: dict[str, Callable[[], Generator[int, None, None]]] = {
        READ: lambda: _in_threads(_read_all, paths, threads),
        DECODE: lambda: _in_threads(_decode_all, jpegs, threads),
        COPY: lambda: _in_threads(copy, parts, threads),
        DECODER: lambda: decoded(drawn.manifest, settings),
        TRANSFER: lambda: transfers(uint8.pin_memory(), size, settings.device),
    }

    def stream(name: str) -> Stream:
        problem = "there are no JPEGs" if name == DECODE and not drawn.jpegs else None
        ahead, seconds = 2 * threads + 2, settings.seconds / SHORTER
        # Tasks that started together finish together: a turn ends on a multiple of the threads.
        return Stream(name, lambda: closing(starts[name]()), ahead, threads, seconds, True, problem)

    return [stream(name) for name in names(settings.device)]


def transfers(source: torch.Tensor, images: int, device: torch.device) -> Generator[int, None, None]:
    """Copies of a batch to the device, again and again: the images of each."""
    target = torch.empty_like(source, device=device)
    return arrived((target.copy_(source, non_blocking=True), images) for _ in itertools.repeat(None))


def decoded(drawn: Manifest, settings: Settings) -> Generator[int, None, None]:
    """The dali loader with a recipe that keeps one pixel of each image: images per batch."""
    pixel = (CenterCrop((1, 1)), NormalizeStep((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    planner = endless(planner_over(drawn, pixel, settings), EPOCH)
    with closing(factory.build_loader("dali", planner, settings.loading, settings.device)) as loader:
        yield from arrivals(loader, None)


def _batch_shape(steps: tuple[Step, ...], batch_size: int) -> tuple[int, int, int, int]:
    program = template(steps)
    height, width = output_size(program)
    return batch_size * program.views, height, width, 3


def _in_threads(
    work: Callable[[Sequence], int], spans: Iterable[Sequence], threads: int
) -> Generator[int, None, None]:
    """What `work` gives for each span, in order; for each thread two spans are queued."""
    queued: deque[Future[int]] = deque()
    with ThreadPoolExecutor(threads, "fastffdi-ceiling") as pool:
        for span in spans:
            queued.append(pool.submit(work, span))
            if len(queued) > 2 * threads:
                yield queued.popleft().result()


def _spans(items: Sequence | np.ndarray, count: int) -> Iterator:
    """`count` items at a time, again and again."""
    for first in itertools.cycle(range(0, len(items), count)):
        yield items[first : first + count]


def _read_all(paths: Sequence[str]) -> int:
    for path in paths:
        FILES.read(path)
    return len(paths)


def _decode_all(jpegs: Sequence[bytes]) -> int:
    for data in jpegs:
        simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False)
    return len(jpegs)


def _decodes(data: bytes) -> bool:
    with suppress(ValueError):
        return _decode_all((data,)) == 1
    return False


def _copier(batch: torch.Tensor) -> Callable[[Sequence], int]:
    """Copies a range of the rows of a batch to another; as bytes, since numpy has no bfloat16."""
    source = batch.view(torch.uint8).numpy()
    target = np.zeros_like(source)

    def copy(images: Sequence) -> int:
        part = slice(images[0], images[-1] + 1)
        np.copyto(target[part], source[part])
        return len(images)

    return copy

"""Ceilings: parts of a loader's work alone, which bound what any loader can reach on the machine.

file read       open and read the files, in threads. What the page cache holds comes from there
JPEG decode     a bare libjpeg-turbo call (simplejpeg) on bytes in memory, in threads
memory copy     one batch, as the loaders are timed to it, copied to another
GPU decoder     CUDA with DALI only: DALI reads and decodes, and keeps one pixel of each image
host to device  CUDA only: a uint8 batch from page-locked memory to the device
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

from fastffdi.bench.loader import EPOCH, Settings, planner_of
from fastffdi.bench.stream import Stream, arrivals, endless, landed
from fastffdi.data.manifest import Manifest
from fastffdi.loaders import factory
from fastffdi.recipe.lowering import output_size, template
from fastffdi.recipe.steps.base import Step
from fastffdi.recipe.steps.colour import NormalizeStep
from fastffdi.recipe.steps.geometry import CenterCrop

READ, DECODE, COPY, DECODER, TRANSFER = (
    "file read", "JPEG decode", "memory copy", "GPU decoder", "host to device"
)  # fmt: skip

#: How much shorter a ceiling's turns are than a loader's: it delivers more evenly.
SHORTER = 4

#: Images and bytes of the sample that is decoded, at most.
_MOST_IMAGES, _MOST_BYTES = 1000, 256 << 20

#: Images a thread takes at a time.
_SPAN = 8


@dataclass(frozen=True, eq=False)
class Sample:
    """Images drawn from a manifest, all of them where they are few.

    manifest  their rows, with sizes
    jpegs     the bytes of those that the bare call decodes
    """

    manifest: Manifest
    jpegs: tuple[bytes, ...]

    @property
    def median_size(self) -> tuple[int, int]:
        """Height and width in pixels of the image in the middle by area."""
        sizes = self.manifest.sizes
        assert sizes is not None
        middle = np.argsort(sizes.prod(axis=1, dtype=np.int64), kind="stable")[len(sizes) // 2]
        return int(sizes[middle, 0]), int(sizes[middle, 1])

    def sentence(self) -> str:
        """Which images the ceiling of decoding is taken on."""
        left_out = len(self.manifest) - len(self.jpegs)
        others = f" ({left_out} files of other kinds, or refused by it, left out)" if left_out else ""
        return f"{len(self.jpegs)} JPEGs in memory{others}"


def sample(manifest: Manifest, threads: int, seed: int) -> Sample:
    """At most 1000 images of at most 256 MiB, but one at least.

    Raises UndecodableImage for a file that is absent or whose header is no image's.
    """
    drawn = manifest.take(np.random.default_rng(seed).permutation(len(manifest))[:_MOST_IMAGES])
    drawn = drawn.with_sizes(threads)
    with ThreadPoolExecutor(threads) as pool:
        files: list[bytes] = []
        held = 0
        for data in map(_read, drawn.paths()):
            held += len(data)
            if files and held > _MOST_BYTES:
                break
            files.append(data)
        decodes = list(pool.map(_decodes, files))
    jpegs = tuple(itertools.compress(files, decodes))
    return Sample(drawn.take(slice(len(files))), jpegs)


def names(device: torch.device) -> tuple[str, ...]:
    """The ceilings there are for batches that go to the device."""
    decoder = () if factory.dali_problem() else (DECODER,)
    return (READ, DECODE, COPY, *((*decoder, TRANSFER) if device.type == "cuda" else ()))


def ceilings(drawn: Sample, manifest: Manifest, steps: tuple[Step, ...], settings: Settings) -> list[Stream]:
    """The ceilings of loaders that show the manifest's images by these steps."""
    threads, seed = settings.threads, settings.seed
    uint8 = torch.empty(_batch_shape(steps, settings.batch_size), dtype=torch.uint8)
    batch = uint8 if settings.to == "uint8" else uint8.to(settings.dtype)
    starts: dict[str, Callable[[], Generator[int, None, None]]] = {
        READ: lambda: _in_threads(_read_all, _path_spans(manifest, seed), threads),
        DECODE: lambda: _in_threads(_decode_all, _spans(drawn.jpegs), threads),
        COPY: lambda: _in_threads(
            _copier(batch.view(settings.batch_size, -1)), _parts(settings.batch_size, threads), threads
        ),
        DECODER: lambda: decoded(drawn.manifest, settings),
        TRANSFER: lambda: transfers(uint8.pin_memory(), settings.batch_size, settings.device),
    }
    problems = {} if drawn.jpegs else {DECODE: "there are no JPEGs"}
    return [_stream(name, starts[name], settings, problems.get(name)) for name in names(settings.device)]


def transfers(source: torch.Tensor, images: int, device: torch.device) -> Generator[int, None, None]:
    """Copies of a batch to the device, again and again: the images of each."""
    target = torch.empty_like(source, device=device)
    return landed((target.copy_(source, non_blocking=True), images) for _ in itertools.repeat(None))


def decoded(drawn: Manifest, settings: Settings) -> Generator[int, None, None]:
    """DALI's reading and decoding as its loader does both, then a window of one pixel: images per batch."""
    pixel = (CenterCrop((1, 1)), NormalizeStep((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    planner = endless(planner_of(drawn, pixel, settings), EPOCH)
    with closing(factory.build_loader("dali", planner, settings.loading, settings.device)) as loader:
        yield from arrivals(loader, None)


def _stream(
    name: str, start: Callable[[], Generator[int, None, None]], settings: Settings, problem: str | None
) -> Stream:
    ahead, seconds = 2 * settings.threads + 2, settings.seconds / SHORTER
    group = settings.threads  # what began together comes together
    return Stream(name, lambda: closing(start()), ahead, group, seconds, ceiling=True, problem=problem)


def _batch_shape(steps: tuple[Step, ...], batch_size: int) -> tuple[int, int, int, int]:
    program = template(steps)
    height, width = output_size(program)
    return batch_size * program.views, height, width, 3


def _in_threads(
    work: Callable[[Sequence], int], spans: Iterable[Sequence], threads: int
) -> Generator[int, None, None]:
    """What `work` gives for each span, in order; two spans wait for every thread."""
    waiting: deque[Future[int]] = deque()
    with ThreadPoolExecutor(threads, "fastffdi-ceiling") as pool:
        for span in spans:
            waiting.append(pool.submit(work, span))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()


def _path_spans(manifest: Manifest, seed: int) -> Iterator[list[str]]:
    rows = np.random.default_rng(seed).permutation(len(manifest))
    for span in _spans(rows):
        yield manifest.paths(span)


def _spans(items: Sequence | np.ndarray) -> Iterator:
    for first in itertools.cycle(range(0, len(items), _SPAN)):
        yield items[first : first + _SPAN]


def _read_all(paths: Sequence[str]) -> int:
    for path in paths:
        _read(path)
    return len(paths)


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _decode_all(jpegs: Sequence[bytes]) -> int:
    for data in jpegs:
        simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False)
    return len(jpegs)


def _copier(batch: torch.Tensor) -> Callable[[Sequence], int]:
    """Copies a range of the rows of a batch to another; as bytes, since numpy has no bfloat16."""
    source = batch.view(torch.uint8).numpy()
    target = np.zeros_like(source)

    def copy(images: Sequence) -> int:
        part = slice(images[0], images[-1] + 1)
        np.copyto(target[part], source[part])
        return len(images)

    return copy


def _parts(batch_size: int, threads: int) -> Iterator[range]:
    """A batch again and again, a part for each thread."""
    size = -(-batch_size // threads)
    for first in itertools.cycle(range(0, batch_size, size)):
        yield range(first, min(first + size, batch_size))


def _decodes(data: bytes) -> bool:
    with suppress(ValueError):
        return _decode_all((data,)) == 1
    return False

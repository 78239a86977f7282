"""From steps to a program: numbers from the plan, kernels from the steps, fused where that is exact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fastffdi.recipe.fusion import fuse
from fastffdi.recipe.kernels import Kernel, Program
from fastffdi.recipe.rng import VIEW_STREAMS, CounterRNG
from fastffdi.recipe.steps.base import Step, TooSmall
from fastffdi.recipe.steps.combine import Combined

#: Pretend images that no step brings to one size by accident, large enough for any crop; so many that what
#: several steps leave to chance comes together in every way.
_COUNT = 256
_PROBE_SIZES = np.stack([30_011 + 103 * np.arange(_COUNT), 61_001 - 107 * np.arange(_COUNT)], 1).astype(
    np.int32
)

#: With how many numbers each size is tried where the sizes on the way depend on them.
_TRIES = 16


def lower(
    steps: Sequence[Step],
    rng: CounterRNG,
    epoch: int,
    rows: np.ndarray,
    repeats: np.ndarray,
    sizes: np.ndarray | None,
    apart: int = 0,
) -> Program:
    """The program for the images (rows, repeats), both (N,), of an epoch.

    `sizes` (N, 2) height, width may be None where `needs_sizes(steps)` is False. Kernels of the first `apart`
    steps are not fused with those of the others; that changes no pixel.
    Raises TooSmall, naming the step, where an image's size does not allow it.
    """
    numbers = _numbers(steps, rng, epoch, rows, repeats)
    unknown = np.full((len(rows), 2), -1, np.int32)
    return _lowered(steps, numbers, unknown if sizes is None else sizes, apart)


def check_sizes(steps: Sequence[Step], sizes: np.ndarray) -> None:
    """Raise TooSmall for the first image, of sizes (N, 2), that some step does not allow."""
    distinct, first = np.unique(sizes, axis=0, return_index=True)
    tries = _TRIES if any(isinstance(step, Combined) and step.needs_size for step in steps) else 1
    try:
        _lowered(steps, _probe_draws(steps, tries * len(distinct)), np.tile(distinct, (tries, 1)))
    except TooSmall as error:
        raise TooSmall(int(first[error.image % len(distinct)]), str(error)) from None


def template(steps: Sequence[Step], apart: int = 0) -> Program:
    """The program of pretend images: the kernels and fixed parameters that hold for all images."""
    return _lowered(steps, _probe_draws(steps, _COUNT), _PROBE_SIZES, apart)


def needs_sizes(steps: Sequence[Step]) -> bool:
    """Whether the sizes of the images must be known before they are decoded."""
    # Not strict: the last size is the one after all steps.
    pairs = zip(steps, sizes_along(steps), strict=False)
    return any(step.needs_size and not same_size(size) for step, size in pairs)


def sizes_along(steps: Sequence[Step]) -> Iterator[np.ndarray]:
    """The sizes (N, 2) of the pretend images before each step, and after the last."""
    size = _PROBE_SIZES
    yield size
    for step, u in zip(steps, _probe_draws(steps, _COUNT), strict=True):
        for kernel in step.lower(u, size):
            size = kernel.out_size(size)
        yield size


def sizing_point(program: Program) -> int | None:
    """How many kernels of an outline it takes until all images have one size; None if they never do."""
    size, point = _PROBE_SIZES, None
    for k, kernel in enumerate(program.kernels):
        size = kernel.out_size(size)
        if not same_size(size):
            point = None
        elif point is None:
            point = k + 1
    return point


def same_size(size: np.ndarray) -> bool:
    """Whether all images of these sizes (N, 2) are equally high and wide."""
    return bool((size == size[0]).all())


def image_size(program: Program) -> tuple[int, int]:
    """Height and width of the images after an outline's kernels, which reach the sizing point."""
    size = _PROBE_SIZES
    for kernel in program.kernels:
        size = kernel.out_size(size)
    return int(size[0, 0]), int(size[0, 1])


def _probe_draws(steps: Sequence[Step], count: int) -> list[np.ndarray]:
    """For each step the numbers of `count` pretend images: of every outcome, extremes among them."""
    numbers = []
    for k, step in enumerate(steps):
        images = np.arange(count)
        u = CounterRNG(0).uniform(0, images, np.zeros_like(images), k, step.draws)
        u[0], u[-1] = 0, 1 - 2**-53
        numbers.append(step.probe_draws(u))
        count *= step.views
    return numbers


def _numbers(
    steps: Sequence[Step], rng: CounterRNG, epoch: int, rows: np.ndarray, repeats: np.ndarray
) -> list[np.ndarray]:
    """The plan's numbers for each step: (N, draws), and (N · views, draws) after a step that makes views."""
    draws = [step.draws for step in steps]
    whole = next((k + 1 for k, step in enumerate(steps) if step.views > 1), len(steps))
    numbers = rng.steps(epoch, rows, repeats, draws[:whole])
    views = range(steps[whole - 1].views if whole < len(steps) else 0)
    of_views = [
        rng.steps(epoch, rows, repeats, draws[whole:], whole + VIEW_STREAMS * (view + 1)) for view in views
    ]
    for of_step in zip(*of_views, strict=True):
        numbers.append(np.stack(of_step, axis=1).reshape(len(rows) * len(views), of_step[0].shape[1]))
    return numbers


def _lowered(
    steps: Sequence[Step], numbers: Iterable[np.ndarray], size: np.ndarray, apart: int = 0
) -> Program:
    kernels: list[Kernel] = []
    begun = size
    for step, u in zip(steps, numbers, strict=True):
        try:
            lowered = step.lower(u, size)
        except TooSmall as error:
            raise TooSmall(error.image, f"{step.name()}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{step.name()}: {error}") from None
        for kernel in lowered:
            kernels.append(kernel)
            size = kernel.out_size(size)
    alone = sum(len(step.kernels) for step in steps[:apart])
    return Program(fuse(kernels, begun, alone))

"""From steps to a program: random numbers from the CounterRNG, kernels from the steps, fused where exact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fastffdi.recipe.fusion import fuse_around
from fastffdi.recipe.kernels import Kernel
from fastffdi.recipe.program import Program
from fastffdi.recipe.rng import VIEW_STREAMS, CounterRNG
from fastffdi.recipe.steps.base import Step, TooSmall
from fastffdi.recipe.steps.combine import Combined

#: Synthetic sizes for shape inference: no step brings them to one size by accident, and every crop fits.
#: So many that the random outcomes of several steps meet in every combination.
_COUNT = 256
_PROBE_SIZES = np.stack([30_011 + 103 * np.arange(_COUNT), 61_001 - 107 * np.arange(_COUNT)], axis=1)
_PROBE_SIZES = _PROBE_SIZES.astype(np.int32)

#: With how many random numbers each size is tried where the sizes along the way depend on them.
_TRIES = 16


def lower(
    steps: Sequence[Step],
    rng: CounterRNG,
    epoch: int,
    rows: np.ndarray,
    repeats: np.ndarray,
    sizes: np.ndarray | None,
) -> Program:
    """The program for the images (rows, repeats), both (N,), of an epoch.

    `sizes` (N, 2) height, width may be None where `needs_sizes(steps)` is False.
    Raises TooSmall, naming the step, where an image's size does not allow it.
    """
    return lower_around(steps, 0, rng, epoch, rows, repeats, sizes)[1]


def lower_around(
    steps: Sequence[Step],
    barrier: int,
    rng: CounterRNG,
    epoch: int,
    rows: np.ndarray,
    repeats: np.ndarray,
    sizes: np.ndarray | None,
) -> tuple[Program, Program]:
    """As `lower`, in two programs, of the first `barrier` steps and of the others; see `fuse_around`."""
    return _lowered(steps, _numbers(steps, rng, epoch, rows, repeats), sizes, barrier)


def check_sizes(steps: Sequence[Step], sizes: np.ndarray) -> None:
    """Raise TooSmall for the first image, of sizes (N, 2), that some step does not allow."""
    first = np.sort(np.unique(sizes, axis=0, return_index=True)[1])
    distinct = sizes[first]
    tries = _TRIES if any(isinstance(step, Combined) and step.needs_size for step in steps) else 1
    try:
        _lowered(steps, _probe_draws(steps, tries * len(distinct)), np.tile(distinct, (tries, 1)))
    except TooSmall as error:
        raise TooSmall(int(first[error.index % len(distinct)]), str(error)) from None


def template(steps: Sequence[Step]) -> Program:
    """The program of images of synthetic sizes: its kernels and fixed parameters hold for all images."""
    return template_around(steps, 0)[1]


def template_around(steps: Sequence[Step], barrier: int) -> tuple[Program, Program]:
    """As `template`, in the two programs that `lower_around` makes."""
    return _lowered(steps, _probe_draws(steps, _COUNT), _PROBE_SIZES, barrier)


def needs_sizes(steps: Sequence[Step]) -> bool:
    """Whether the sizes of the images must be known before they are decoded."""
    # Not strict: the last size is the one after all steps.
    pairs = zip(steps, sizes_along(steps), strict=False)
    return any(step.needs_size and not same_size(size) for step, size in pairs)


def sizes_along(steps: Sequence[Step]) -> Iterator[np.ndarray]:
    """The synthetic sizes (N, 2) before each step, and after the last."""
    size = _PROBE_SIZES
    yield size
    for step, u in zip(steps, _probe_draws(steps, _COUNT), strict=True):
        size = _size_after(step.lower(u, size), size)
        yield size


def sizing_point(program: Program) -> int | None:
    """How many kernels of a template it takes until all images have one size; None if they never do."""
    size, point = _PROBE_SIZES, None
    for k, kernel in enumerate(program.kernels):
        size = _size_after([kernel], size)
        if not same_size(size):
            point = None
        elif point is None:
            point = k + 1
    return point


def same_size(size: np.ndarray) -> bool:
    """Whether all images of these sizes (N, 2) are equally high and wide."""
    return bool((size == size[0]).all())


def output_size(program: Program) -> tuple[int, int]:
    """Height and width of the images after a template's kernels, which reach the sizing point."""
    size = _size_after(program.kernels, _PROBE_SIZES)
    return int(size[0, 0]), int(size[0, 1])


def _size_after(kernels: Iterable[Kernel], size: np.ndarray) -> np.ndarray:
    for kernel in kernels:
        after = kernel.out_size(size)
        assert after is not None, "a known size stays known"
        size = after
    return size


def _probe_draws(steps: Sequence[Step], count: int) -> list[np.ndarray]:
    """For each step the random numbers of `count` images: every outcome occurs, extremes included."""
    numbers = []
    for k, step in enumerate(steps):
        images = np.arange(count)
        u = CounterRNG(0).uniform(0, images, np.zeros_like(images), k, step.draws.total)
        u[0], u[-1] = 0, 1 - 2**-53
        numbers.append(step.probe_draws(u))
        count *= step.views
    return numbers


def _numbers(
    steps: Sequence[Step], rng: CounterRNG, epoch: int, rows: np.ndarray, repeats: np.ndarray
) -> list[np.ndarray]:
    """The random numbers of each step: (N, draws), and (N · views, draws) after a step that makes views."""
    draws = [step.draws.total for step in steps]
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
    steps: Sequence[Step], numbers: Iterable[np.ndarray], sizes: np.ndarray | None, barrier: int = 0
) -> tuple[Program, Program]:
    kernels: list[Kernel] = []
    size = sizes
    for step, u in zip(steps, numbers, strict=True):
        try:
            lowered = step.lower(u, size)
        except TooSmall as error:
            raise TooSmall(error.index, f"{step.name()}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{step.name()}: {error}") from None
        for kernel in lowered:
            kernels.append(kernel)
            size = kernel.out_size(size)
    before, after = fuse_around(kernels, sizes, sum(len(step.kernels) for step in steps[:barrier]))
    return Program.of(before), Program.of(after)

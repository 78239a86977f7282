"""The feed: which images come in which batch, with what parameters. All planned loaders share it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.data.source import FILES, Source
from fastffdi.errors import DataError
from fastffdi.loaders.batch import Batch
from fastffdi.recipe.kernels import Program
from fastffdi.recipe.lowering import check_sizes, lower, needs_sizes, template
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps.base import Step, TooSmall


@dataclass(frozen=True)
class BatchPlan:
    """A batch before it is rendered: rows, repeats (N,) int64 and the program of its images."""

    epoch: int
    rows: np.ndarray
    repeats: np.ndarray
    program: Program


@dataclass(frozen=True)
class BatchPlanner:
    """The batches of every epoch, before rendering; a pure function of its fields.

    source  where the cpu loader takes images from; the others read the files
    skip    how many of the steps the source's images have behind them
    """

    manifest: Manifest
    sampler: Sampler
    rng: CounterRNG
    steps: tuple[Step, ...]
    batch_size: int
    source: Source = FILES
    skip: int = 0

    @classmethod
    def over(
        cls,
        manifest: Manifest,
        steps: tuple[Step, ...],
        batch_size: int,
        threads: int,
        seed: int = 0,
        shuffle: bool = False,
        balance: bool = False,
        source: Source = FILES,
    ) -> BatchPlanner:
        """The feed over a whole manifest; sizes are probed by `threads` threads if the steps need them.

        Raises UndecodableImage where a size cannot be probed, DataError where an image is too small.
        """
        if needs_sizes(steps):
            manifest = manifest.with_sizes(threads)
            _check_sizes(manifest, steps)
        sampler = Sampler(len(manifest), seed, shuffle, manifest.labels if balance else None)
        return cls(manifest, sampler, CounterRNG(seed), steps, batch_size, source)

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    @property
    def template(self) -> Program:
        """The program of pretend images, whose kernels are those of every batch's."""
        return template(self.steps, self.skip)

    @property
    def begun(self) -> int:
        """How many of the program's kernels the source's images have behind them."""
        return len(template(self.steps[: self.skip]))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[BatchPlan]:
        """The epoch's work from batch number `start` on; the last batch may be short."""
        rows, repeats = self.sampler.epoch(epoch, start * self.batch_size)
        for first in range(0, len(rows), self.batch_size):
            span = slice(first, first + self.batch_size)
            yield self.work(epoch, rows[span], repeats[span])

    def work(self, epoch: int, rows: np.ndarray, repeats: np.ndarray) -> BatchPlan:
        """The work of any images of an epoch.

        Raises DataError where one is too small for what its numbers ask; `over` has looked for such, but may
        miss what steps inside steps do together in a rare draw.
        """
        sizes = None if self.manifest.sizes is None else self.manifest.sizes[rows]
        try:
            program = lower(self.steps, self.rng, epoch, rows, repeats, sizes, self.skip)
        except TooSmall as error:
            raise _refusal(self.manifest, int(rows[error.image]), error) from None
        return BatchPlan(epoch, rows, repeats, program)

    def batch(self, work: BatchPlan, images: torch.Tensor, done: int) -> Batch:
        """The rendered batch of a work."""
        n, known = len(work.rows), self.manifest.labels
        labels = np.full(n, -1) if known is None else known[work.rows]
        valid = np.ones(n, bool)
        views = work.program.views
        return Batch(images, labels, work.rows, work.repeats, valid, work.epoch, work.program, done, views)


def _check_sizes(manifest: Manifest, steps: tuple[Step, ...]) -> None:
    assert manifest.sizes is not None
    try:
        check_sizes(steps, manifest.sizes)
    except TooSmall as error:
        raise _refusal(manifest, error.image, error) from None


def _refusal(manifest: Manifest, row: int, error: TooSmall) -> DataError:
    return DataError(f"{manifest.paths(slice(row, row + 1))[0]}: {error}")

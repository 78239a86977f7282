"""The planner: which images come in which batch, with what parameters. All planned loaders share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch

from fastffdi.cache.plan import CachePlan, check_space, estimate, unused
from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import FixedRows, Repeated, Sampler
from fastffdi.data.source import FileSource
from fastffdi.errors import DataError, SettingError
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.corrupt import Corrupt
from fastffdi.loaders.settings import LoaderSettings, default_threads
from fastffdi.recipe.lowering import check_sizes, lower_around, needs_sizes, template_around
from fastffdi.recipe.program import Program
from fastffdi.recipe.recipe import Recipe
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps.base import Step, TooSmall
from fastffdi.render.cpu.decode import DECODER, Decoder, SourceDecoder
from fastffdi.world import ALONE, World


@dataclass(frozen=True)
class BatchPlan:
    """A batch before it is rendered.

    Attributes:
        rows: (N,) int64 into the manifest
        repeats: (N,) int64: how often the row has come before in this epoch
        prefix: what the decoder has already applied to the images it gives; empty but for a cache
        program: what is still to be applied, by the loader and then by the DeviceStage
    """

    epoch: int
    rows: np.ndarray
    repeats: np.ndarray
    prefix: Program
    program: Program


class Rows(Protocol):
    """Which rows an epoch visits; a Sampler is one."""

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, start: int = 0) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class BatchPlanner:
    """The batches of every epoch, before rendering; a pure function of its fields.

    Attributes:
        decoder: where the cpu loader takes images from
        prefix_steps: how many of the steps that decoder has already applied
        skip_corrupt: whether an image that cannot be decoded is replaced by a placeholder, which the batch
            reports; else its error ends the epoch
        drop_last: leave out the images of an epoch that fill no batch; where they are all there are, they
            make one short batch, as they do without it
        world: the processes that have a share of every batch. A last batch that is too short for each to
            have two images is left out, so that all have equally many
    """

    manifest: Manifest
    sampler: Rows
    rng: CounterRNG
    steps: tuple[Step, ...]
    batch_size: int
    decoder: Decoder = DECODER
    prefix_steps: int = 0
    skip_corrupt: bool = False
    drop_last: bool = False
    world: World = ALONE

    @classmethod
    def over(
        cls,
        manifest: Manifest,
        steps: tuple[Step, ...],
        settings: LoaderSettings,
        *,
        seed: int = 0,
        shuffle: bool = False,
        balance: bool = False,
        decoder: SourceDecoder = DECODER,
        skip_corrupt: bool = False,
    ) -> BatchPlanner:
        """The planner over a whole manifest; sizes are probed if the steps need them.

        Raises UndecodableImage where a size cannot be probed, of the first image or with `skip_corrupt` of
        all of them; DataError where an image is too small.
        """
        if needs_sizes(steps):
            manifest = manifest.with_sizes(
                settings.threads, decoder.source, skip_corrupt, settings.read_timeout
            )
            _check_sizes(manifest, steps)
        sampler = Sampler(len(manifest), seed, shuffle, manifest.labels if balance else None)
        rng = CounterRNG(seed)
        return cls(manifest, sampler, rng, steps, settings.batch_size, decoder, skip_corrupt=skip_corrupt)

    @classmethod
    def of_split(
        cls,
        recipe: Recipe,
        split: Literal["train", "eval"],
        manifest: Manifest,
        settings: LoaderSettings,
        *,
        seed: int = 0,
        balance: bool = False,
        skip_corrupt: bool = False,
    ) -> BatchPlanner:
        """The batches that a resolved recipe makes of a manifest: shuffled for training. Raises as `over`."""
        steps, train = (recipe.train, True) if split == "train" else (recipe.eval, False)
        decoder = SourceDecoder(scaled=recipe.decode.scaled, limits=settings.limits)
        return cls.over(
            manifest,
            steps,
            settings,
            seed=seed,
            shuffle=train,
            balance=balance and train,
            decoder=decoder,
            skip_corrupt=skip_corrupt,
        )

    def __len__(self) -> int:
        return -(-self.images // self.batch_size)

    @property
    def images(self) -> int:
        """Images in an epoch, of all processes together."""
        every = len(self.sampler)
        last = every % self.batch_size
        too_short = last < self._fewest or (self.drop_last and every > last)
        return every - last if too_short else every

    @property
    def _fewest(self) -> int:
        """Images of the shortest batch: BatchNorm may need two in each process."""
        world = self.world
        return 1 if world.alone else world.size * min(2, self.batch_size // world.size)

    @property
    def largest(self) -> int:
        """Images of the largest batch, in this process."""
        return self.world.part_of(self.batch_size)

    def images_in(self, batch: int) -> int:
        """Images of one batch of an epoch, of all processes together."""
        return min(self.batch_size, self.images - batch * self.batch_size)

    @cached_property
    def template(self) -> tuple[Program, Program]:
        """The prefix and program of images of synthetic sizes, whose kernels are those of every batch's."""
        return template_around(self.steps, self.prefix_steps)

    def cache_plan(self, folder: Path) -> CachePlan:
        """What a cache in `folder` will keep of the images. Raises as CachePlan.of."""
        assert isinstance(self.decoder, SourceDecoder), "the planner is cached already"
        return CachePlan.of(self.manifest, self.steps, self.decoder, folder, default_threads())

    def cached(self, plan: CachePlan) -> BatchPlanner:
        """The same batches with their images from a cache, which is filled as they are rendered."""
        return replace(self, decoder=plan.open(), prefix_steps=len(plan.prefix))

    def shared(self, world: World) -> BatchPlanner:
        """The same batches, each divided among the processes: for training.

        Raises SettingError where not every process gets an image.
        """
        planner = replace(self, world=world)
        if self.batch_size < world.size or not planner.images:
            few = "--batch-size" if self.batch_size < world.size else "the training images"
            raise SettingError(
                f"{few}: {min(self.batch_size, len(self.sampler))} for {world.size} processes; each needs "
                "one of every batch: start fewer processes"
            )
        return planner

    def divided(self, world: World) -> BatchPlanner:
        """Each image in one process's batches, which has up to one more than another: for evaluation."""
        if world.alone:
            return self
        assert isinstance(self.sampler, Sampler), "shares are those of a whole manifest"
        return replace(self, sampler=replace(self.sampler, rank=world.rank, world=world.size))

    def only(self, rows: np.ndarray) -> BatchPlanner:
        """Batches of these rows (n,) alone, in their order: for evaluation."""
        return replace(self, sampler=FixedRows(rows, np.zeros(len(rows), np.int64)))

    def repeated(self, times: int) -> BatchPlanner:
        """The same batches with each image `times` times in succession, drawn anew: for evaluation."""
        if times == 1:
            return self
        assert isinstance(self.sampler, Sampler | FixedRows), "the images are repeated already"
        return replace(self, sampler=Repeated(self.sampler, times), batch_size=self.batch_size * times)

    def require_files(self, loader: str) -> None:
        """Raise SettingError for a loader that opens files itself where the images are not whole files."""
        decoder = self.decoder
        if not isinstance(decoder, SourceDecoder) or not isinstance(decoder.source, FileSource):
            raise SettingError(
                f"--loader {loader}: opens image files itself, and these images come from "
                f"{type(decoder).__name__}; choose --loader cpu"
            )

    def epoch(self, epoch: int, start: int = 0) -> Iterator[BatchPlan]:
        """The epoch's plans from batch number `start` on; the last batch may be short."""
        for rows, repeats in self.order(epoch, start):
            yield self.plan(epoch, rows, repeats)

    def order(self, epoch: int, start: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows and repeats of this process's share of each of these batches."""
        first = start * self.batch_size
        rows, repeats = self.sampler.epoch(epoch, first)
        for begin in range(0, self.images - first, self.batch_size):
            span = slice(begin, begin + self.batch_size)
            yield rows[span][self.world.share], repeats[span][self.world.share]

    def plan(self, epoch: int, rows: np.ndarray, repeats: np.ndarray) -> BatchPlan:
        """The plan of any images of an epoch.

        Raises DataError where one is too small for what its random numbers ask; `over` has looked for such,
        but may miss what steps inside steps do together in a rare draw.
        """
        sizes = None if self.manifest.sizes is None else self.manifest.sizes[rows]
        try:
            programs = lower_around(self.steps, self.prefix_steps, self.rng, epoch, rows, repeats, sizes)
        except TooSmall as error:
            raise _refusal(self.manifest, int(rows[error.index]), error) from None
        return BatchPlan(epoch, rows, repeats, *programs)

    def batch(
        self, plan: BatchPlan, images: torch.Tensor, remaining: Program, corrupt: Sequence[Corrupt] = ()
    ) -> Batch:
        """The batch of a plan whose images are rendered but for what is `remaining`.

        In the places of the `corrupt` ones are placeholders.
        """
        n, known = len(plan.rows), self.manifest.labels
        labels = np.full(n, -1) if known is None else known[plan.rows]
        valid = np.ones(n, bool)
        valid[[place for place, _ in corrupt]] = False
        views = plan.program.views
        rows, repeats, failed = plan.rows, plan.repeats, tuple(corrupt)
        return Batch(images, labels, rows, repeats, valid, plan.epoch, remaining, views, failed)


def cached(
    planners: Sequence[BatchPlanner], folder: Path, say: Callable[[str], None] = lambda line: None
) -> list[BatchPlanner]:
    """The planners with their images from stores in `folder`.

    `say` gets a line with the estimate of their size, and one about stores in the folder that are of no use.

    Raises SettingError where the disk has no room for all of it, or the folder cannot be written to.
    """
    plans = [planner.cache_plan(folder) for planner in planners]
    for line in filter(None, (estimate(plans), unused(folder))):
        say(line)
    check_space(plans)
    return [planner.cached(plan) for planner, plan in zip(planners, plans, strict=True)]


def _check_sizes(manifest: Manifest, steps: tuple[Step, ...]) -> None:
    assert manifest.sizes is not None
    try:
        check_sizes(steps, manifest.sizes)
    except TooSmall as error:
        raise _refusal(manifest, error.index, error) from None


def _refusal(manifest: Manifest, row: int, error: TooSmall) -> DataError:
    return DataError(f"{manifest.paths(slice(row, row + 1))[0]}: {error}")

"""What the model is given in training: by the same recipe, plan and kernels, without any training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.data.source import FILES, Source
from fastffdi.errors import DataError
from fastffdi.loaders.batch import Batch
from fastffdi.recipe.kernels import Normalize, Program
from fastffdi.recipe.lowering import lower
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps.base import Step, TooSmall
from fastffdi.render.cpu.decode import decode_file
from fastffdi.render.cpu.renderer import can_render, render
from fastffdi.render.device.stage import DeviceStage

Image = np.ndarray  # (H, W, 3) uint8

#: As training.mix.Mixer: mixed images, the partners' labels, and the share of an image's own label.
Mixer = Callable[[torch.Tensor, torch.Tensor, Batch], tuple[torch.Tensor, ...]]

#: Leaves levels as they are.
_LEVELS = Normalize((0, 0, 0), (1 / 255, 1 / 255, 1 / 255))


@dataclass(frozen=True)
class Images:
    """Some images of a training manifest.

    rows    (N,) int64: where they stand in it, by which the plan knows them
    names   as the user wrote them
    paths   their files
    labels  (N,) int64: 0 real, 1 fake, −1 unknown
    images  as decoded whole, each of its own size
    source  where the loader takes them from
    """

    rows: np.ndarray
    names: list[str]
    paths: list[str]
    labels: np.ndarray
    images: list[Image]
    source: Source = FILES

    @classmethod
    def first(cls, manifest: Manifest, seed: int, epoch: int, count: int, source: Source = FILES) -> Images:
        """The first that training comes to in an epoch. Raises UndecodableImage."""
        rows = Sampler(len(manifest), seed).epoch(epoch)[0][:count]
        labels = np.full(len(rows), -1) if manifest.labels is None else manifest.labels[rows]
        paths = manifest.paths(rows)
        images = [decode_file(path) for path in paths]
        return cls(rows, manifest.names[rows].tolist(), paths, labels, images, source)

    def head(self, count: int) -> Images:
        """The first `count` of them."""
        return Images(
            self.rows[:count],
            self.names[:count],
            self.paths[:count],
            self.labels[:count],
            self.images[:count],
            self.source,
        )

    def program(self, steps: Sequence[Step], rng: CounterRNG, epoch: int) -> Program:
        """Their program in an epoch. Raises DataError for one too small for a step."""
        sizes = np.array([image.shape[:2] for image in self.images], np.int32)
        try:
            return lower(steps, rng, epoch, self.rows, np.zeros_like(self.rows), sizes)
        except TooSmall as error:
            raise DataError(f"{self.paths[error.image]}: {error}") from None

    def levels(self, program: Program) -> list[Image]:
        """What their program makes of them, but for normalising."""
        if self.source == FILES:
            return _levels(self.images, program)
        rows = enumerate(zip(self.rows.tolist(), self.paths, strict=True))
        return _levels([self.source(row, path, program, i) for i, (row, path) in rows], program)


@dataclass(frozen=True)
class Mixed:
    """A mixed image: `share` of its label mass is its own label's, the rest image `partner`'s."""

    image: Image
    partner: int
    share: float


def draw(images: Images, steps: Sequence[Step], rng: CounterRNG, epoch: int) -> list[list[Image]]:
    """For each image what the model is given in an epoch, before mixing: its views, mostly one.

    Steps are resolved; a Normalize at the end is left out, for images to look at.
    """
    program = images.program(steps, rng, epoch)
    out = images.levels(program)
    views = program.views
    return [out[first : first + views] for first in range(0, len(out), views)]


def mixed(images: Images, steps: Sequence[Step], rng: CounterRNG, epoch: int, mixer: Mixer) -> list[Mixed]:
    """The images as `mixer` mixes them where they are a batch, or its beginning: then all but the last.

    Mixing is done to normalised images, as in training; the result is turned back into levels.
    """
    program = images.program(steps, rng, epoch)
    normalize = program.kernels[-1]
    assert isinstance(normalize, Normalize), "recipes end with it"
    levels = np.stack(images.levels(program))
    images = DeviceStage(torch.device("cpu"), torch.float32)(
        torch.from_numpy(levels), program, len(program) - 1
    )
    repeats, valid = np.zeros_like(images.rows), np.ones(len(images.rows), bool)
    batch = Batch(
        images, images.labels, images.rows, repeats, valid, epoch, program, len(program), program.views
    )
    # Given places for labels, the mixer tells who was mixed with whom.
    out, partners, share = mixer(images, torch.arange(len(images)), batch)
    return [
        Mixed(image, int(partner), float(own))
        for image, partner, own in zip(_denormalised(out, normalize), partners, share, strict=True)
    ]


def _levels(images: Sequence[Image], program: Program) -> list[Image]:
    """As in training on a CPU: the cpu renderer as far as it goes, the DeviceStage for the rest."""
    kernels = tuple(kernel for kernel in program.kernels if not isinstance(kernel, Normalize))
    place = next((k for k, kernel in enumerate(kernels) if not can_render(kernel)), len(kernels))
    before = Program(kernels[:place])
    ready = [render(image, before, i) for i, image in enumerate(images)]
    if place == len(kernels):
        return ready
    stage = DeviceStage(torch.device("cpu"), torch.float32)
    out = stage(torch.from_numpy(np.stack(ready)), Program((*kernels, _LEVELS)), place)
    return _denormalised(out, _LEVELS)


def _denormalised(images: torch.Tensor, normalize: Normalize) -> list[Image]:
    """Levels (H, W, 3) of each of the images (N, 3, H, W)."""
    mean, std = torch.tensor(normalize.mean), torch.tensor(normalize.std)
    levels = (images.permute(0, 2, 3, 1) * std + mean) * 255
    return list(levels.round().clamp(0, 255).to(torch.uint8).numpy())

"""Images as the model is given them, by the loader and the DeviceStage of training."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import torch

from fastffdi.data.sampler import FixedRows
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.kernels import Normalize
from fastffdi.recipe.lowering import sizing_point
from fastffdi.render.cpu.renderer import render
from fastffdi.render.device.stage import DeviceStage

Image = np.ndarray  # (H, W, 3) uint8

#: As loaders.mix.Mixer: mixed images, the partners' labels, and the share of an image's own label.
Mixer = Callable[[torch.Tensor, torch.Tensor, Batch], tuple[torch.Tensor, ...]]

_STAGE = DeviceStage(torch.device("cpu"), torch.float32)


@dataclass(frozen=True)
class Mixed:
    """A mixed image: `share` of its label mass is its own label's, the rest image `partner`'s."""

    image: Image
    partner: int
    share: float


def first(planner: BatchPlanner, epoch: int, count: int) -> BatchPlanner:
    """One batch of the first `count` images that a planner comes to in an epoch, the same in every epoch."""
    rows, repeats = planner.sampler.epoch(epoch)
    return replace(planner, sampler=FixedRows(rows[:count], repeats[:count]), batch_size=count)


def draw(planner: BatchPlanner, epoch: int) -> list[list[Image]]:
    """For each image of a planner's batch what its steps make of it in an epoch: its views, mostly one.

    Neither mixed nor normalised. Steps that leave images of various sizes cannot be a batch, and are rendered
    image by image. Raises UndecodableImage, DataError for an image too small for a step.
    """
    if sizing_point(planner.template[1]) is None:
        return [[image] for image in _one_by_one(planner, epoch)]
    batch = _batch(planner, epoch)
    out = list(_STAGE.pixels(batch).numpy())
    return [out[at : at + batch.views] for at in range(0, len(out), batch.views)]


def mix(planner: BatchPlanner, epoch: int, mixer: Mixer) -> list[Mixed]:
    """The images of a planner's batch as `mixer` mixes them. Raises as `draw`.

    In training the batch goes on, so that the last image has another partner there.
    """
    batch = _batch(planner, epoch)
    images = _STAGE(batch)
    # With indices as labels, the mixer returns the index of each partner.
    out, partners, share = mixer(images, torch.arange(len(images)), batch)
    assert batch.remaining.normalize is not None, "recipes end with it"
    return [
        Mixed(image, int(partner), float(own))
        for image, partner, own in zip(
            denormalised(out, batch.remaining.normalize), partners, share, strict=True
        )
    ]


def _batch(planner: BatchPlanner, epoch: int) -> Batch:
    with closing(CpuLoader(planner, LoaderSettings())) as loader:
        return next(loader.epoch(epoch))


def _one_by_one(planner: BatchPlanner, epoch: int) -> list[Image]:
    plan = next(planner.epoch(epoch))
    rows = enumerate(zip(plan.rows.tolist(), planner.manifest.paths(plan.rows), strict=True))
    return [
        render(planner.decoder(row, path, plan.prefix, plan.program, i), plan.program, i)
        for i, (row, path) in rows
    ]


def denormalised(images: torch.Tensor, normalize: Normalize) -> list[Image]:
    """(H, W, 3) uint8 of each of the images (N, 3, H, W)."""
    mean, std = torch.tensor(normalize.mean), torch.tensor(normalize.std)
    values = (images.permute(0, 2, 3, 1) * std + mean) * 255
    return list(values.round().clamp(0, 255).to(torch.uint8).numpy())

"""MixUp and CutMix on the device, from the CounterRNG's numbers.

mixup: Zhang et al., "mixup: Beyond Empirical Risk Minimization", arXiv 1710.09412.
CutMix: Yun et al., arXiv 1905.04899; the box is drawn as in torchvision.transforms.v2.CutMix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy.special import betaincinv

from fastffdi.loaders.batch import Batch
from fastffdi.recipe.mix import BATCH, Mix
from fastffdi.recipe.rng import MIX_STREAM, CounterRNG
from fastffdi.recipe.steps.base import Draws
from fastffdi.render.device.tensors import to_device

#: Whether and how an image is mixed, its share, and the box's centre.
_DRAWS = Draws(mixed=1, kind=1, share=1, centre=2)

#: From 0 to 1, close together at both ends, where quantiles may be steep.
_PROBABILITIES = np.sin(np.linspace(0, np.pi / 2, 4097)) ** 2


@dataclass(frozen=True)
class Pairing:
    """Who is mixed with whom, and how, for N images of H × W; every view is an image here.

    Attributes:
        partner: (N,) index into the images of the batch
        blend: (N,) the image's own weight in a MixUp; 1 where there is none
        box: (N, 4) top, left, bottom, right of the part pasted from the partner; empty where there is none
        share: (N,) the part of the label mass that stays with the image's own label
    """

    partner: np.ndarray
    blend: np.ndarray
    box: np.ndarray
    share: np.ndarray


@dataclass(frozen=True)
class Mixer:
    """Mixes the batches of a training run; a pure function of the batch.

    Epochs from number `until` on are left as they are.
    """

    mix: Mix
    rng: CounterRNG
    until: float = math.inf

    @classmethod
    def of_run(cls, mix: Mix | None, seed: int, epochs: int) -> Mixer | None:
        """The mixer of a run of so many epochs, the last of which `mix` may leave out; None without `mix`."""
        if mix is None:
            return None
        return cls(mix, CounterRNG(seed), epochs - mix.off_epochs if mix.off_epochs else math.inf)

    def __call__(self, images: torch.Tensor, labels: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, ...]:
        """Mixed images (N, C, H, W), the partners' labels (N,), and the share (N,) of an image's own label.

        images (N, C, H, W) floating point and labels (N,) are on the device, and are not changed; N counts
        every view of the batch's images.
        """
        if batch.epoch >= self.until:
            return images, labels, torch.ones(len(images), device=images.device)
        height, width = images.shape[2:]
        pairing = pair(self.mix, self.rng, batch, height, width)
        columns = [pairing.partner, pairing.blend, *pairing.box.T, pairing.share]
        table = to_device(torch.from_numpy(np.stack(columns).astype(np.float32)), images.device)
        partner, blend, top, left, bottom, right, share = table.unbind()
        others = partner.long()
        mixed = paste(images, images[others], blend, torch.stack([top, left, bottom, right], dim=1))
        return mixed, labels[others], share


def pair(mix: Mix, rng: CounterRNG, batch: Batch, height: int, width: int) -> Pairing:
    """The pairing of a batch: every valid image with the next valid one, the last with the first.

    Of several views, each is paired with the same view of the next image: its own others share its label.
    """
    u = _DRAWS.split(_numbers(mix, rng, batch))
    cut = _takes_cutmix(mix, u["kind"])
    mixed = (u["mixed"] < mix.p) & batch.valid.repeat(batch.views) & bool(mix.mixup or mix.cutmix)
    blend = np.where(mixed & ~cut, _beta(mix.mixup, u["share"]), 1.0)
    box = _boxes(_beta(mix.cutmix, u["share"]), u["centre"], height, width) * (mixed & cut)[:, None]
    pasted = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) / (height * width)
    partner = _next_valid(batch.valid)[:, None] * batch.views + np.arange(batch.views)
    return Pairing(partner.ravel(), blend, box, np.where(mixed & cut, 1 - pasted, blend))


def _numbers(mix: Mix, rng: CounterRNG, batch: Batch) -> np.ndarray:
    """(N · views, 5) in [0, 1), the columns as in _DRAWS."""
    views = [
        rng.uniform(batch.epoch, batch.rows, batch.repeats, MIX_STREAM + view, _DRAWS.total)
        for view in range(batch.views)
    ]
    u = np.stack(views, axis=1).reshape(-1, _DRAWS.total)
    return np.repeat(u[:1], len(u), axis=0) if mix.per == BATCH else u


def paste(images: torch.Tensor, others: torch.Tensor, blend: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    """blend · image + (1 − blend) · other outside the box, the other image inside it; all (N, …)."""
    weight = blend.to(images.dtype)[:, None, None, None]
    blended = torch.lerp(others, images, weight)
    ys = torch.arange(images.shape[2], device=images.device)
    xs = torch.arange(images.shape[3], device=images.device)
    rows = (ys >= box[:, :1]) & (ys < box[:, 2:3])
    columns = (xs >= box[:, 1:2]) & (xs < box[:, 3:])
    return torch.where((rows[:, :, None] & columns[:, None, :])[:, None], others, blended)


def _takes_cutmix(mix: Mix, u: np.ndarray) -> np.ndarray:
    if mix.mixup and mix.cutmix:
        return np.asarray(u < mix.switch)
    return np.full(u.shape, bool(mix.cutmix))


def _beta(alpha: float, u: np.ndarray) -> np.ndarray:
    """Numbers distributed as Beta(α, α), by its inverse distribution function; 1 where α is 0."""
    return np.interp(u, _PROBABILITIES, _quantiles(alpha)) if alpha else np.ones_like(u)


@cache
def _quantiles(alpha: float) -> np.ndarray:
    """Of Beta(α, α) at _PROBABILITIES; computed one by one for each image they would take 2 µs each."""
    return np.asarray(betaincinv(alpha, alpha, _PROBABILITIES))


def _boxes(share: np.ndarray, u: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes of the area 1 − share about uniform centres, cut off at the edges: (N, 4)."""
    half = 0.5 * np.sqrt(1 - share)
    sides = np.array([height, width])
    centre = np.floor(u * sides)
    reach = np.floor(half[:, None] * sides)
    return np.concatenate([np.maximum(centre - reach, 0), np.minimum(centre + reach, sides)], axis=1)


def _next_valid(valid: np.ndarray) -> np.ndarray:
    partner = np.arange(len(valid))
    members = np.flatnonzero(valid)
    partner[members] = np.roll(members, -1)
    return partner

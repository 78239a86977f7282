"""P(fake) for every image of a loader, or of several that show the same images in other ways."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from fastffdi.inference.forward import Autocast, Forward
from fastffdi.inference.pooling import POOL, Pool
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.model.precision import Precision
from fastffdi.recipe.kernels import Normalize


class Look(NamedTuple):
    """A model that is given a loader's batches.

    Attributes:
        model: the model's number, of those that are scored
        normalize: in place of that of the loader's recipe
    """

    model: int
    forward: Forward
    normalize: Normalize | None = None


@dataclass(frozen=True)
class Pass:
    """A loader, whose batches hold each row `draws` times in succession, and the models that see them."""

    loader: DeviceLoader
    looks: tuple[Look, ...]
    draws: int = 1

    def logits(self, batch: Batch) -> Iterator[tuple[int, torch.Tensor]]:
        """The number of each model, and its logits (N · views, 2) of the batch, until the next are made."""
        made: dict[Normalize | None, torch.Tensor] = {None: self.loader.prepared(batch).images}
        for model, forward, normalize in self.looks:
            if normalize not in made:
                other = replace(batch, remaining=replace(batch.remaining, normalize=normalize))
                made[normalize] = self.loader.stage(other).contiguous(memory_format=torch.channels_last)
            yield model, forward(made[normalize])


class Scores(NamedTuple):
    """Of one batch: N rows, whether each could be decoded, and of M models the pooled values (M, N)."""

    rows: np.ndarray
    valid: np.ndarray
    values: torch.Tensor


@dataclass(frozen=True)
class Scorer:
    """A model, on the device of the loader's batches, and the precision it computes in.

    `forward` is the model's compiled one where there is one.
    """

    model: nn.Module
    precision: Precision
    forward: Forward | None = None

    def __call__(
        self, loader: DeviceLoader, count: int, progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """(images,) float64 P(fake) by row, whatever order the loader has; NaN for rows it left out or
        skipped.

        `progress` gets the number of images of each batch. Batches of several views are averaged.
        """
        self.model.eval()
        forward = self.forward or Autocast(self.model, self.precision)
        return score_all((forward,), loader, count, progress)[0]


def score_all(
    forwards: Sequence[Forward],
    loader: DeviceLoader,
    count: int,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """(forwards, images) what Scorer gives, of several models that see each batch in turn.

    They are in eval mode.
    """
    looks = tuple(Look(number, forward) for number, forward in enumerate(forwards))
    return collected(scored([Pass(loader, looks)], len(forwards), POOL), len(forwards), count, progress)


def pooled(
    passes: Sequence[Pass],
    models: int,
    pool: Pool,
    progress: Callable[[int], None] | None = None,
    seconds: float = math.inf,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows (n,) and their float64 P(fake) (n,), pooled over the views of all passes and over the models.

    They come about every so many seconds, between two batches, and at the end; NaN is of rows that were
    skipped. `progress` gets the number of images of each batch.
    """
    found, begun = [], time.monotonic()
    for one in scored(passes, models, pool):
        found.append(one._replace(values=pool.models(one.values)[None]))
        if progress is not None:
            progress(len(one.rows))
        if time.monotonic() - begun >= seconds:
            rows, values = fetched(found)
            yield rows, values[0]
            found, begun = [], time.monotonic()
    if found:
        rows, values = fetched(found)
        yield rows, values[0]


@torch.inference_mode()
def scored(passes: Sequence[Pass], models: int, pool: Pool) -> Iterator[Scores]:
    """The scores of batch after batch, of which all passes have the same rows; left on the device."""
    for batches in zip(*(one.loader.batches(0) for one in passes), strict=True):
        rows = batches[0].rows[:: passes[0].draws]
        values: list[list[torch.Tensor]] = [[] for _ in range(models)]
        valid = np.ones(len(rows), bool)
        for one, batch in zip(passes, batches, strict=True):
            for model, logits in one.logits(batch):
                # At once: a compiled model's next call may overwrite them.
                values[model].append(pool.values(logits).view(len(rows), -1))
            valid &= batch.valid.reshape(-1, one.draws).all(axis=1)
        yield Scores(rows, valid, torch.stack([pool.views(torch.cat(own, dim=1)) for own in values]))


def collected(
    batches: Iterator[Scores], models: int, count: int, progress: Callable[[int], None] | None = None
) -> np.ndarray:
    """(models, images) float64 by row; NaN for rows that were left out or skipped.

    `progress` gets the number of images of each batch.
    """
    found = []
    for one in batches:
        found.append(one)
        if progress is not None:
            progress(len(one.rows))
    out = np.full((models, count), np.nan)
    if found:
        rows, values = fetched(found)
        out[:, rows] = values
    return out


def fetched(batches: Sequence[Scores]) -> tuple[np.ndarray, np.ndarray]:
    """The rows (n,) of some batches, and of M models float64 (M, n), NaN where one is not valid.

    They are read from the device at once: reading each batch would make the host wait for it.
    """
    rows, valid = (np.concatenate([getattr(one, name) for one in batches]) for name in ("rows", "valid"))
    values = torch.cat([one.values for one in batches], dim=1).double().cpu().numpy()
    return rows, np.where(valid, values, np.nan)

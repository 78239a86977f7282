"""P(fake) for every image of a loader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from fastffdi.inference.forward import Autocast, Forward
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.model.precision import Precision


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


@torch.inference_mode()
def score_all(
    forwards: Sequence[Forward],
    loader: DeviceLoader,
    count: int,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """(forwards, images) what Scorer gives, of several models that see each batch in turn.

    They are in eval mode.
    """
    rows, scores, valid = [], [], []
    for batch in loader.batches(0):
        images = loader.prepared(batch).images
        fake = torch.stack([forward(images).float().softmax(dim=1)[:, 1] for forward in forwards])
        # Left on the device: reading each batch would make the host wait for it.
        scores.append(fake.view(len(forwards), len(batch), batch.views).mean(dim=2))
        rows.append(batch.rows)
        valid.append(batch.valid)
        if progress is not None:
            progress(len(batch))
    out = np.full((len(forwards), count), np.nan)
    if rows:
        kept = np.concatenate(valid)
        out[:, np.concatenate(rows)[kept]] = torch.cat(scores, dim=1).double().cpu().numpy()[:, kept]
    return out

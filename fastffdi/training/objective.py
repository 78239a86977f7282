"""What a training step computes of a batch: the loss to be minimised, and the sums for the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from fastffdi.errors import SettingError
from fastffdi.model.precision import Precision

#: (images, labels, valid) as in Prepared → mean loss with a graph, summed loss, summed accuracy, how many
#: images these are over: scalars on the device.
Objective = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, ...]]


@dataclass(frozen=True)
class CrossEntropy:
    """An Objective: cross-entropy in single precision over the valid images, of a model in its precision.

    Attributes:
        smoothing: share of each label that is spread over both classes
        weights: (2,) on the device: how much real and fake images count; the mean is still over images.
            None: all the same
    """

    model: nn.Module
    precision: Precision
    device: torch.device
    smoothing: float = 0.0
    weights: torch.Tensor | None = None

    def __call__(
        self, images: torch.Tensor, labels: torch.Tensor, valid: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        with self.precision.autocast(self.device):
            logits = self.model(images)
        losses = F.cross_entropy(
            logits.float(), labels, self.weights, reduction="none", label_smoothing=self.smoothing
        )
        total, count = (losses * valid).sum(), valid.sum()
        correct = (accuracy(logits, labels) * valid).sum()
        return total / count.clamp(min=1), total.detach(), correct, count


def class_weights(labels: np.ndarray, device: torch.device) -> torch.Tensor:
    """(2,) on the device: both classes of labels (n,) then count the same, and an image 1 on average.

    Raises SettingError where one class is absent.
    """
    counts = np.bincount(labels, minlength=2)
    if not counts.all():
        raise SettingError("class_weights balanced: the training images are of one class; leave it out")
    return torch.tensor(len(labels) / (2 * counts), dtype=torch.float32).to(device)


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mass (N,) of each image's label on the class that logits (N, 2) predict: 0 or 1 for labels (N,).

    Of a mixed image, with labels (N, 2), it is λ · [prediction = label] + (1 − λ) · [prediction = partner's].
    """
    predicted = logits.argmax(dim=1)
    if labels.dim() == 1:
        return (predicted == labels).float()
    return labels.gather(1, predicted[:, None]).squeeze(1)

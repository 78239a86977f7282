"""The trainer of a run, from its settings."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from fastffdi.model import compilation
from fastffdi.model.precision import Precision
from fastffdi.training.average import Average
from fastffdi.training.loop import Trainer
from fastffdi.training.objective import CrossEntropy, class_weights
from fastffdi.training.optimiser import Optimiser
from fastffdi.training.settings import Settings
from fastffdi.training.tuning import Tuning
from fastffdi.training.watch import Watch


def trainer_of(
    settings: Settings,
    model: nn.Module,
    precision: Precision,
    device: torch.device,
    batches: int,
    labels: np.ndarray,
) -> Trainer:
    """The trainer of a model, moved to the device, on so many batches in an epoch; labels (n,) of the images.

    Raises SettingError for what does not go with the model or the images.
    """
    how, model = settings.optimisation, model.to(device)
    tuning = Tuning.of(model, how)  # before the optimiser, which takes what is to be trained
    each = how.updates(batches)
    optimiser = Optimiser(
        model, settings.learning_rate, settings.epochs * each, precision.scaler(), how, per_epoch=each
    )
    weights = None if how.class_weights is None else class_weights(labels, device)
    loss = CrossEntropy(model, precision, device, how.label_smoothing, weights)
    return Trainer(
        model,
        precision,
        optimiser,
        device,
        objective=compilation.compiled(loss, device) if settings.compile else None,
        eager=loss,
        tuning=tuning,
        average=None if how.ema is None else Average(model, how.ema),
        accumulate=how.accumulate,
        watch=Watch(mixed=precision.name != "off"),
    )

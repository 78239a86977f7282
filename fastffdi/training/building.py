"""The trainer of a run, from its settings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from fastffdi.model import backbone, compilation
from fastffdi.model.precision import Precision
from fastffdi.model.processes import Processes
from fastffdi.training import shared
from fastffdi.training.average import Average
from fastffdi.training.interruption import SAME_SECONDS_PASSED_ON, Interruption
from fastffdi.training.loop import Trainer
from fastffdi.training.objective import CrossEntropy, class_weights
from fastffdi.training.optimiser import Optimiser
from fastffdi.training.settings import Settings
from fastffdi.training.tuning import Tuning
from fastffdi.training.watch import Watch


def model_of(settings: Settings, anew: bool, say: Callable[[str], None], processes: Processes) -> nn.Module:
    """The model as training begins with it, the same in all processes; the first alone reads weights.

    Not `anew` it is without them, since they are in the state. Raises as backbone.build, in all processes.
    """
    how, drop_path = settings, settings.optimisation.drop_path
    built = None
    if anew:
        built = processes.only_first(
            lambda: backbone.build(how.backbone, how.pretrained, how.weights, say, drop_path)
        )
    model = built or backbone.build(settings.backbone, pretrained=False, drop_path=drop_path)
    processes.align(model)
    return model


def trainer_of(
    settings: Settings,
    model: nn.Module,
    precision: Precision,
    device: torch.device,
    batches: int,
    labels: np.ndarray,
    processes: Processes | None = None,
) -> Trainer:
    """The trainer of a model, moved to the device, on so many batches in an epoch; labels (n,) of the images.

    Raises SettingError for what does not go with the model or the images.
    """
    how, processes = settings.optimisation, processes or Processes()
    if settings.sync_bn:
        model = shared.with_synchronised_norms(model, processes)
    model = model.to(device)
    tuning = Tuning.of(model, how)  # before the optimiser, which takes what is to be trained
    each = how.updates(batches)
    optimiser = Optimiser(
        model, settings.learning_rate, settings.epochs * each, precision.scaler(), how, per_epoch=each
    )
    weights = None if how.class_weights is None else class_weights(labels, device)
    exchange = shared.exchange_of(model, device, processes, changing=how.freeze > 0)
    loss = CrossEntropy(exchange or model, precision, device, how.label_smoothing, weights)
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
        stop=Interruption() if processes.world.alone else Interruption(SAME_SECONDS_PASSED_ON),
        watch=Watch(mixed=precision.name != "off"),
        processes=processes,
        exchange=exchange,
    )

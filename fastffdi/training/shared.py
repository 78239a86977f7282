"""The step and the evaluation of a run that several processes share, by DistributedDataParallel."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fastffdi.errors import SettingError, differences
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.loaders.quarantine import Quarantine
from fastffdi.model.processes import Processes
from fastffdi.training.interruption import Interruption, Stopping
from fastffdi.training.place import Place

#: P(fake) of rows, by the name of the model.
Scores = dict[str, np.ndarray]


def exchange_of(
    model: nn.Module, device: torch.device, processes: Processes, changing: bool = False
) -> DistributedDataParallel | None:
    """The model, whose gradients are the mean of those of all processes; None where there is one process.

    `changing`: not always the same weights are trained.
    """
    if processes.world.alone:
        return None
    ids = [device] if device.type == "cuda" else None
    known = inspect.signature(DistributedDataParallel).parameters
    as_they_are = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    how: dict[str, Any] = {as_they_are: False, "find_unused_parameters": changing}
    with processes.losses():
        return DistributedDataParallel(model, ids, **how)


def check_synchronised_norms(device: torch.device, processes: Processes) -> None:
    """Raise SettingError where `with_synchronised_norms` cannot be: torch has it on GPUs only."""
    if device.type != "cuda" and not processes.world.alone:
        raise SettingError("--sync-bn: torch has it on GPUs only; leave it out, or choose --device cuda")


def with_synchronised_norms(model: nn.Module, processes: Processes) -> nn.Module:
    """The model with BatchNorm over the images of all processes."""
    if processes.world.alone:
        return model
    from timm.layers import convert_sync_batchnorm

    synchronised: nn.Module = convert_sync_batchnorm(model)
    return synchronised


def weighed(
    processes: Processes, mean: torch.Tensor, count: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A loss for the mean loss over this process's `count` valid images, and how many all processes have.

    The gradient of the loss, averaged over the processes, is that of the mean over the images of all.
    """
    if processes.world.alone:
        return mean, count
    of_all = processes.sum(count)
    return mean * (processes.world.size * count / of_all.clamp(min=1)), of_all


def scored(
    processes: Processes,
    score: Callable[[], Scores],
    loader: DeviceLoader,
    count: int,
    stop: Interruption,
) -> Scores:
    """The scores (count,) of all rows by name, of which `score` gives those of this process's share.

    The loader's `corrupt` are those of all processes afterwards. Raises Stopping in all of them where it is
    requested in one.
    """
    if processes.world.alone:
        with stop.at_once():
            return score()
    rows = loader.backend.planner.sampler.epoch(0)[0]
    own: Scores = {}
    with contextlib.suppress(Stopping), stop.at_once():
        own = {name: scores[rows] for name, scores in score().items()}
    shares = processes.all((rows, own, loader.corrupt, stop.number or 0))
    if any(number for *_, number in shares):
        stop.number = max(number for *_, number in shares)
        raise Stopping
    out = {name: np.full(count, np.nan) for name in own}
    for others, scores, corrupt, _ in shares:
        for name, one in scores.items():
            out[name][others] = one
        loader.corrupt |= corrupt
    return out


def meet(processes: Processes, place: Place, quarantine: Quarantine | None) -> None:
    """Let every process know which images any of them has skipped. Raises RunError as Quarantine.merge."""
    if processes.world.alone or quarantine is None:
        return
    for corrupt, found in processes.all((place.corrupt, quarantine.state_dict())):
        place.corrupt |= corrupt
        quarantine.merge(found)


def check_same(processes: Processes, own: dict[str, Any]) -> None:
    """Raise SettingError where the identity of the run is not the same in all processes."""
    first, *others = processes.all(own)
    for rank, other in enumerate(others, 1):
        if found := differences(first, other):
            raise SettingError(
                f"process {rank} would train another run than process 0: {'; '.join(found)}; give all "
                "machines the same command and the same data"
            )

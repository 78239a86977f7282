"""The step and the evaluation of a run that several processes share, by DistributedDataParallel."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fastffdi.errors import SettingError
from fastffdi.inference.scoring import Scorer
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.loaders.quarantine import Quarantine
from fastffdi.model.group import Group
from fastffdi.training.identity import differences
from fastffdi.training.interruption import Interruption, Stopping
from fastffdi.training.objective import Objective
from fastffdi.training.place import Place


def wrapped(model: nn.Module, device: torch.device, group: Group) -> nn.Module:
    """The model, whose gradients are the mean of those of all processes; alone, the model itself."""
    if group.world.alone:
        return model
    ids = [device] if device.type == "cuda" else None
    known = inspect.signature(DistributedDataParallel).parameters
    as_they_are = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    with group.losses():
        return DistributedDataParallel(model, ids, **{as_they_are: False})  # type: ignore[arg-type]


def check_synchronised_norms(device: torch.device, group: Group) -> None:
    """Raise SettingError where `with_synchronised_norms` cannot be: torch has it on GPUs only."""
    if device.type != "cuda" and not group.world.alone:
        raise SettingError("--sync-bn: torch has it on GPUs only; leave it out, or choose --device cuda")


def with_synchronised_norms(model: nn.Module, group: Group) -> nn.Module:
    """The model with BatchNorm over the images of all processes."""
    if group.world.alone:
        return model
    from timm.layers import convert_sync_batchnorm

    synchronised: nn.Module = convert_sync_batchnorm(model)
    return synchronised


def scaled(objective: Objective, group: Group) -> Objective:
    """An Objective whose gradient, averaged over the processes, is that of the mean over all valid images.

    The mean that it gives is larger or smaller than this process's, by its part of the valid images.
    """
    if group.world.alone:
        return objective
    size = group.world.size

    def shared(images: torch.Tensor, labels: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, ...]:
        mean, total, correct, count = objective(images, labels, valid)
        of_all = group.sum(count)
        return mean * (size * count / of_all.clamp(min=1)), total, correct, count

    return shared


def scored(
    group: Group,
    scorer: Scorer,
    loader: DeviceLoader,
    count: int,
    seen: Callable[[int], None],
    stop: Interruption,
) -> np.ndarray:
    """(count,) float64: the scores of all rows, of which every process computes its share.

    The loader's `corrupt` are those of all processes afterwards. Raises Stopping in all of them where it is
    requested in one.
    """
    if group.world.alone:
        with stop.at_once():
            return scorer(loader, count, seen)
    rows = loader.backend.planner.sampler.epoch(0)[0]
    try:
        with stop.at_once():
            own = scorer(loader, count, seen)[rows]
    except Stopping:
        own = None
    shares = group.all((rows, own, loader.corrupt, stop.number or 0))
    if any(number for *_, number in shares):
        stop.number = max(number for *_, number in shares)
        raise Stopping
    return _joined(shares, count, loader)


def _joined(shares: list[Any], count: int, loader: DeviceLoader) -> np.ndarray:
    out = np.full(count, np.nan)
    for rows, scores, corrupt, _ in shares:
        out[rows] = scores
        loader.corrupt |= corrupt
    return out


def meet(group: Group, place: Place, quarantine: Quarantine | None) -> None:
    """Let every process know which images any of them has skipped. Raises RunError as Quarantine.merge."""
    if group.world.alone or quarantine is None:
        return
    for corrupt, found in group.all((place.corrupt, quarantine.state_dict())):
        place.corrupt |= corrupt
        quarantine.merge(found)


def check_same(group: Group, own: dict[str, Any]) -> None:
    """Raise SettingError where the identity of the run is not the same in all processes."""
    first, *others = group.all(own)
    for rank, other in enumerate(others, 1):
        if found := differences(first, other):
            raise SettingError(
                f"process {rank} would train another run than process 0: {'; '.join(found)}; give all "
                "machines the same command and the same data"
            )

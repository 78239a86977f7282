"""A trained model in one file: safetensors whose header carries a JSON document. No pickle anywhere."""

from __future__ import annotations

import errno
import json
import math
import os
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastffdi.errors import RunError, SettingError
from fastffdi.escapes import escaped
from fastffdi.files import DiskFull, atomic
from fastffdi.model.description import read_description

HEADER = "fastffdi.checkpoint"  # the metadata key of the document
FORMAT = 1
PACKAGES = ("fastffdi", "torch", "timm", "torchvision", "numpy", "safetensors")


def versions() -> dict[str, str]:
    """Versions of python and of the packages that decide what a model computes."""
    return dict(_versions())


@cache  # reading them takes longer than copying a small model
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Checkpoint:
    """Everything but the weights that is needed to use a model, and to know where it came from.

    `recipe` is the recipe as plain data (what YAML or JSON can hold), `size` (height, width) in pixels,
    `mean` and `std` of RGB in [0, 1]: the values in use, nothing left to look up. A metric is None where
    it was undefined. `weights_data` is what the weights saw that training started from, as
    `pretraining.of_run` says it. `decision` is evaluation's Decision as plain data, where one was stored.
    `averaged` is whether the weights are the moving average of those that were trained.
    """

    backbone: str
    recipe: dict[str, Any]
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    epoch: int
    seed: int
    metrics: dict[str, float | None] = field(default_factory=dict)
    labels: tuple[str, ...] = ("real", "fake")
    versions: dict[str, str] = field(default_factory=versions)
    weights_data: str = "unknown: the checkpoint does not tell"
    decision: dict[str, Any] | None = None
    averaged: bool = False


class Snapshot:
    """A model's weights at one moment, on the CPU: the model may be trained further.

    Args:
        copies: gives the weights by name, in any memory format; called when they are first asked for, in
            whichever thread that is
    """

    def __init__(self, copies: Callable[[], Mapping[str, Tensor]]) -> None:
        self._copies = copies

    @classmethod
    def of(cls, model: nn.Module | Mapping[str, Tensor]) -> Snapshot:
        """The snapshot of a model, or of its state dict."""
        copies = _copied(model.state_dict() if isinstance(model, nn.Module) else model)
        return cls(lambda: copies)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """By name in the state dict, contiguous, each with memory of its own, as safetensors wants them."""
        return {name: tensor.contiguous() for name, tensor in self._copies().items()}


def save(checkpoint: Checkpoint, model: nn.Module | Mapping[str, Tensor] | Snapshot, path: Path) -> None:
    """Write the model's weights and `checkpoint` to `path`; the file is whole or absent.

    Raises DiskFull where the disk is, and OSError.
    """
    tensors = (model if isinstance(model, Snapshot) else Snapshot.of(model)).tensors
    metrics = {name: _finite(value) for name, value in checkpoint.metrics.items()}
    document = {"format": FORMAT} | asdict(replace(checkpoint, metrics=metrics))
    write_tensors(path, tensors, {HEADER: json.dumps(document, allow_nan=False)})


def amend(path: Path, **values: Any) -> None:
    """Write a checkpoint anew with other values in its description; it is whole, before or after.

    Raises SettingError for a file that is no checkpoint, RunError where it cannot be written, and DiskFull.
    """
    from safetensors.torch import load_file

    described = replace(read(path), **values)
    try:
        save(described, load_file(path), path)
    except DiskFull:
        raise
    except OSError as error:
        raise RunError(
            f"checkpoint {path}: cannot be written to ({error.strerror}); copy it elsewhere"
        ) from None


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, whole or not at all. The tensors are a Snapshot's.

    Raises DiskFull where the disk is, and OSError.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    header_bytes = sum(map(len, metadata.values()))
    with atomic(path, header_bytes + sum(tensor.nbytes for tensor in tensors.values())) as part:
        try:
            save_file(dict(tensors), part, metadata=dict(metadata))
        except SafetensorError as error:
            raise _as_os_error(error) from error


def read(path: Path) -> Checkpoint:
    """The checkpoint's description; its weights are not read. Raises SettingError if it is none."""
    header = _header(path)
    try:
        document = read_description(header)
        if document.pop("format") != FORMAT:
            raise SettingError(f"checkpoint {path}: written by another version of fastffdi; use that one")
        return Checkpoint(**document)
    except (ValueError, KeyError, TypeError) as error:
        reason = escaped(str(error))
        raise SettingError(f"checkpoint {path}: its header is damaged ({reason}); write it anew") from error


def restore(path: Path) -> tuple[Checkpoint, nn.Module]:
    """The checkpoint and its model: eval mode, channels_last, on the CPU, nothing fetched from anywhere.

    Raises SettingError if the file is no checkpoint, or the installed timm builds another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from fastffdi.model.backbone import build

    checkpoint = read(path)
    if not _fits(path, checkpoint.backbone):
        raise _misfit(path, checkpoint)
    model = build(checkpoint.backbone, pretrained=False)
    try:
        model.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError, OSError) as error:
        raise _misfit(path, checkpoint) from error
    return checkpoint, model.eval()


def _fits(path: Path, backbone: str) -> bool:
    """Whether names and shapes of the weights are the backbone's, told without memory for either.

    A small file may name the largest of backbones.
    """
    from safetensors import safe_open

    from fastffdi.model.backbone import build

    with safe_open(path, framework="pt") as file:
        given = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    try:
        with torch.device("meta"):
            own = build(backbone, pretrained=False).state_dict()
    except (RuntimeError, NotImplementedError):  # a few models read what they have just made
        return True
    return given == {name: tuple(tensor.shape) for name, tensor in own.items()}


def _misfit(path: Path, checkpoint: Checkpoint) -> SettingError:
    return SettingError(
        f"checkpoint {path}: its weights do not fit '{checkpoint.backbone}' as timm {version('timm')} "
        f"builds it; install timm {checkpoint.versions.get('timm', 'of the time')}"
    )


def _header(path: Path) -> str:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise SettingError(f"checkpoint {path}: no such file; give one that `fastffdi train` wrote")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, RuntimeError) as error:  # the last: no room to map it
        raise SettingError(
            f"checkpoint {path}: not a safetensors file, or cut short ({escaped(str(error)[:200])}); "
            "give one that `fastffdi train` wrote"
        ) from error
    if HEADER not in metadata:
        raise SettingError(
            f"checkpoint {path}: holds weights but not what they were trained for; "
            "train from them with `fastffdi train --weights FILE`"
        )
    return str(metadata[HEADER])


def _as_os_error(error: Exception) -> OSError:
    """What safetensors says of a write that failed, `…: No space left (os error 28)`, as an OSError."""
    found = re.search(r"\(os error (\d+)\)", str(error))
    if found is None:
        return OSError(errno.EIO, str(error))
    return OSError(int(found[1]), os.strerror(int(found[1])))


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU, in the order that each has in memory, which is fastest."""
    copies = {
        name: tensor.detach().to("cpu", copy=True, non_blocking=True) for name, tensor in tensors.items()
    }
    for device in {tensor.device for tensor in tensors.values() if tensor.is_cuda}:
        torch.cuda.synchronize(device)
    return copies


def _finite(value: float | None) -> float | None:
    # JSON has no word for NaN and infinity.
    return None if value is None or not math.isfinite(value) else float(value)

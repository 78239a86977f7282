"""Images/s of a backbone on this machine, without loading images: short runs on one random batch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fastffdi.bench.stopwatch import speed_data
from fastffdi.errors import SettingError
from fastffdi.escapes import escaped
from fastffdi.inference.forward import Autocast
from fastffdi.model import backbone
from fastffdi.model.precision import Precision, cast_weights
from fastffdi.training.objective import CrossEntropy
from fastffdi.training.optimiser import Optimiser

TRAINING, INFERENCE = "training", "inference"
KINDS = (TRAINING, INFERENCE)

#: Counted runs, their length, and steps before them, in which memory is laid out and algorithms are chosen.
RUNS = 3
SECONDS = 0.5
WARM_UP_STEPS = 2


@dataclass(frozen=True)
class How:
    """What is measured: `training` steps or `inference`, as train and predict make them."""

    kind: str
    batch_size: int
    device: torch.device
    precision: Precision

    def sentence(self) -> str:
        """For below a table."""
        return (
            f"images/s: {self.kind} on {self.device}, {self.precision.reason}, batches of {self.batch_size} "
            f"random images of the model's own size; median and quartiles of {RUNS} runs of about "
            f"{SECONDS:g} s and at least one step."
        )

    def to_data(self) -> dict[str, Any]:
        """Plain data, for the record."""
        return {
            "kind": self.kind,
            "batch_size": self.batch_size,
            "device": str(self.device),
            "precision": self.precision.name,
            "runs": RUNS,
            "seconds": SECONDS,
        }


@dataclass(frozen=True)
class Speed:
    """Images/s of each run; none where there is a `problem`, in a line."""

    rates: tuple[float, ...] = ()
    problem: str = ""

    def to_data(self) -> dict[str, Any]:
        """Plain data."""
        return {**speed_data(self.rates, 2), "problem": self.problem or None}


def measure(name: str, size: tuple[int, int], how: How) -> Speed:
    """The speed of a timm model with random weights on images of `size` (height, width).

    What a model refuses, and memory that it does not fit into, is a Speed's problem.
    """
    try:
        return Speed(_rates(_step(name, size, how), how))
    except torch.OutOfMemoryError:
        return Speed(problem=f"out of memory with batches of {how.batch_size}")
    except (SettingError, RuntimeError, AssertionError, ValueError, IndexError, TypeError) as error:
        return Speed(problem=_line(error))
    finally:
        if how.device.type == "cuda":
            torch.cuda.empty_cache()


def _step(name: str, size: tuple[int, int], how: How) -> Callable[[], None]:
    """One update, or one forward pass."""
    torch.manual_seed(0)
    model = backbone.build(name, pretrained=False)
    backbone.check_input(model, size)
    model = model.to(how.device)
    images = torch.randn(how.batch_size, 3, *size, device=how.device, dtype=how.precision.dtype)
    images = images.contiguous(memory_format=torch.channels_last)
    return (_update if how.kind == TRAINING else _forward)(model, images, how)


def _update(model: nn.Module, images: torch.Tensor, how: How) -> Callable[[], None]:
    labels = torch.arange(len(images), device=how.device) % 2
    valid = torch.ones(len(images), dtype=torch.bool, device=how.device)
    objective = CrossEntropy(model.train(), how.precision, how.device)
    optimiser = Optimiser(model, 1e-4, 1000, how.precision.scaler())

    def step() -> None:
        mean, *_ = objective(images, labels, valid)
        optimiser.step(mean)

    return step


def _forward(model: nn.Module, images: torch.Tensor, how: How) -> Callable[[], None]:
    forward = Autocast(cast_weights(model.eval(), how.precision), how.precision)

    @torch.inference_mode()
    def step() -> None:
        forward(images)

    return step


def _rates(step: Callable[[], None], how: How) -> tuple[float, ...]:
    for _ in range(WARM_UP_STEPS):
        seconds = _seconds(step, 1, how.device)
    steps = max(1, math.ceil(SECONDS / seconds))
    return tuple(how.batch_size * steps / _seconds(step, steps, how.device) for _ in range(RUNS))


def _seconds(step: Callable[[], None], steps: int, device: torch.device) -> float:
    began = time.perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def _line(error: BaseException) -> str:
    return escaped((str(error).strip() or type(error).__name__).splitlines()[0][:200])

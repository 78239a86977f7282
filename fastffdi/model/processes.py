"""What the processes of a run tell each other, by torch.distributed. One process alone needs none of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fastffdi.errors import FastffdiError, RunError
from fastffdi.world import ALONE, World

T = TypeVar("T")

#: How long a process waits for another one, which may be fetching weights or probing images. One that has
#: ended is noticed at once.
TIMEOUT = timedelta(minutes=30)

#: What errors of connections have in their messages.
_LOST = ("gloo", "nccl", "connection", "timed out")


#: Where in the sources of a library an error arose, in front of its message.
_WHERE = re.compile(r"^\[\S+:\d+\] ")


class Lost(RunError):
    """Another process of the run has ended, or answers no more."""


@dataclass(frozen=True)
class Processes:
    """The processes of a run, connected. Alone, every method gives what one process would get, at no cost.

    Methods have to be called by all processes, in the same order.
    """

    world: World = ALONE
    _ours: bool = False  # to be left at the end

    @classmethod
    def join(cls) -> Processes:
        """Connect to the others that torchrun has started: by gloo, and between GPUs by NCCL.

        The GPU of this process becomes torch's current one before. Raises SettingError as World.here, Lost
        where the others do not come.
        """
        world = World.here()
        if world.alone:
            return cls()
        if dist.is_initialized():
            return cls(world)
        backend = "gloo"
        if torch.cuda.is_available() and dist.is_nccl_available():
            torch.cuda.set_device(world.local_rank % torch.cuda.device_count())
            backend = "cpu:gloo,cuda:nccl"
        joined = cls(world, True)
        with joined.losses():
            dist.init_process_group(backend, timeout=TIMEOUT)
        return joined

    def leave(self) -> None:
        """End the connections that `join` has made."""
        if self._ours and dist.is_initialized():
            dist.destroy_process_group()

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def only_first(self, function: Callable[[], T]) -> T | None:
        """What `function` gives in process 0, else None; its errors for users come in all."""
        if self.world.alone:
            return function()
        value: T | None = None
        error: list[FastffdiError | None] = [None]
        if self.world.first:
            try:
                value = function()
            except FastffdiError as raised:
                error = [raised]
        with self.losses():
            dist.broadcast_object_list(error)
        if error[0] is not None:
            raise error[0]
        return value

    def first(self, function: Callable[[], T]) -> T:
        """What `function` gives in process 0, in all of them; and so do its errors for users."""
        value: list[Any] = [self.only_first(function)]
        if not self.world.alone:
            with self.losses():
                dist.broadcast_object_list(value)
        found: T = value[0]
        return found

    def all(self, value: T) -> list[T]:
        """The value of every process, in the order of their ranks."""
        if self.world.alone:
            return [value]
        values: list[Any] = [None] * self.world.size
        with self.losses():
            dist.all_gather_object(values, value)
        return values

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes of a tensor of one shape, without a graph; the tensor stays as it is."""
        if self.world.alone:
            return tensor
        total = tensor.detach().clone()
        with self.losses():
            dist.all_reduce(total)
        return total

    def most(self, *numbers: int) -> list[int]:
        """Of each of these the highest of all processes. It waits for no GPU."""
        if self.world.alone:
            return list(numbers)
        highest = torch.tensor(numbers)
        with self.losses():
            dist.all_reduce(highest, dist.ReduceOp.MAX)
        found: list[int] = highest.tolist()
        return found

    def align(self, model: nn.Module) -> None:
        """Give the model the weights and buffers that it has in process 0."""
        if self.world.alone:
            return
        with self.losses(), torch.no_grad():
            for tensor in model.state_dict().values():
                plain = tensor.contiguous()
                dist.broadcast(plain, 0)
                tensor.copy_(plain)

    def average_statistics(self, *models: nn.Module) -> None:
        """Let the running statistics of BatchNorm be the mean of those of all processes."""
        buffers = statistics(*models)
        if self.world.alone or not buffers:
            return
        flat = self.sum(torch.cat(buffers)) / self.world.size
        with torch.no_grad():
            for buffer, mean in zip(buffers, torch.split(flat, [*map(len, buffers)]), strict=True):
                buffer.copy_(mean)

    @contextmanager
    def losses(self) -> Iterator[None]:
        """Turn what torch raises when another process has ended into Lost, of one line."""
        try:
            yield
        except RuntimeError as error:
            if self.world.alone or not _is_loss(error):
                raise
            reason = " ".join(_WHERE.sub("", str(error)).split()) or type(error).__name__
            raise Lost(
                f"another process of the run has ended or answers no more ({reason[:90]}); start all of "
                "them again, and a training run with --resume"
            ) from error


def statistics(*models: nn.Module) -> list[Tensor]:
    """The running means and variances of models' BatchNorm, each (channels,)."""
    norms = [module for model in models for module in model.modules() if isinstance(module, _BatchNorm)]
    found = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var)]
    return [buffer for buffer in found if buffer is not None]


def _is_loss(error: RuntimeError) -> bool:
    distributed = type(error).__name__.startswith("Dist")
    return distributed or any(word in str(error).lower() for word in _LOST)

"""The fake CUDA device: that it finds what would make the host wait, and nothing else."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from fake_cuda import HostWaitsError, fake_cuda

from fastffdi.render.device.tensors import to_device

#: x (2, 3) float32 is on the device, host the same on the host, locked in page-locked memory.
FAULTS: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], object]] = {
    "item": lambda x, host, locked: x.sum().item(),
    "float": lambda x, host, locked: float(x[0, 0]),
    "bool": lambda x, host, locked: bool((x > 0).all()),
    "tolist": lambda x, host, locked: x.tolist(),
    "numpy": lambda x, host, locked: x.numpy(),
    "equal": lambda x, host, locked: torch.equal(x, x),
    "nonzero": lambda x, host, locked: x.nonzero(),
    "unique": lambda x, host, locked: x.unique(),
    "bincount": lambda x, host, locked: x.flatten().long().bincount(),
    "repeat_interleave": lambda x, host, locked: x.repeat_interleave(x[:, 0].long(), dim=0),
    "reading by a mask": lambda x, host, locked: x[x > 0],
    "writing by a mask": lambda x, host, locked: x.__setitem__(x > 0, x[0, 0]),
    "an operand on the host": lambda x, host, locked: x + host,
    "a number on the host": lambda x, host, locked: torch.where(x > 0, host.sum(), x),
    "an index on the host": lambda x, host, locked: x[torch.arange(2)],
    "a list as index": lambda x, host, locked: x[[0, 1]],
    "a blocking copy up": lambda x, host, locked: locked.to(x.device),
    "a blocking copy up into a tensor": lambda x, host, locked: x.copy_(locked),
    "a copy up from pageable memory": lambda x, host, locked: host.to(x.device, non_blocking=True),
    "a blocking copy down": lambda x, host, locked: x.cpu(),
    "a blocking copy down into a tensor": lambda x, host, locked: locked.copy_(x),
    "a copy down into pageable memory": lambda x, host, locked: host.copy_(x, non_blocking=True),
    "torch.tensor on the device": lambda x, host, locked: torch.tensor([1, 2], device=x.device),
    "torch.as_tensor on the device": lambda x, host, locked: torch.as_tensor(np.ones(3), device=x.device),
}

FINE: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], object]] = {
    "numbers": lambda x, host, locked: torch.where(x > 0, 2 * x + 1, 0).masked_fill(x > 1, 3),
    "indices": lambda x, host, locked: x[torch.arange(2, device=x.device)],
    "made on the device": lambda x, host, locked: torch.full((2,), 3, device=x.device),
    "a copy up": lambda x, host, locked: locked.to(x.device, non_blocking=True),
    "a copy up of a part": lambda x, host, locked: locked.view(-1)[2:].to(x.device, non_blocking=True),
    "a copy up of what is locked now": lambda x, host, locked: to_device(host, x.device),
    "a copy down": lambda x, host, locked: locked.copy_(x, non_blocking=True),
    "on the host alone": lambda x, host, locked: [host.sum().item(), host[host.new_zeros(1).long()]],
    "from one dtype to another": lambda x, host, locked: x.to(torch.bfloat16),
}


def tensors(device: torch.device) -> tuple[torch.Tensor, ...]:
    host = torch.from_numpy(np.ones((2, 3), np.float32))
    return torch.zeros(2, 3, device=device), host, torch.empty(2, 3, pin_memory=True)


@pytest.mark.parametrize("name", FAULTS)
def test_what_makes_the_host_wait_is_found(name: str) -> None:
    with fake_cuda() as device:
        given = tensors(device)
        with pytest.raises(HostWaitsError):
            FAULTS[name](*given)


@pytest.mark.parametrize("name", FINE)
def test_what_does_not_is_let_through(name: str) -> None:
    with fake_cuda() as device:
        FINE[name](*tensors(device))


def test_host_tensors_are_written_to_as_arrays() -> None:
    with fake_cuda():
        array = torch.empty((2, 3), dtype=torch.uint8, pin_memory=True)[:, 1:].numpy()
    assert array.shape == (2, 2)
    assert array.dtype == np.uint8


def test_afterwards_everything_is_as_before() -> None:
    with pytest.raises(ZeroDivisionError), fake_cuda():
        raise ZeroDivisionError
    assert not torch._C._only_lift_cpu_tensors()
    assert torch.ones(2).sum().item() == 2

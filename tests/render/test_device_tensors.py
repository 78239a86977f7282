"""What the kernels on a batch share."""

import torch

from fastffdi.render.device.tensors import to_device


class Host:
    """Stands in for a tensor in host memory: keeps what it is asked for, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple] = []

    def pin_memory(self) -> "Host":
        self.asked.append(("pin_memory",))
        return self

    def to(self, device: torch.device, non_blocking: bool = False) -> "Host":
        self.asked.append((device, non_blocking))
        return self


def test_what_goes_to_a_gpu_goes_from_page_locked_memory_without_a_wait() -> None:
    host, device = Host(), torch.device("cuda", 1)
    assert to_device(host, device) is host
    assert host.asked == [("pin_memory",), (device, True)]


def test_what_stays_on_the_cpu_is_not_copied() -> None:
    host = torch.arange(3)
    assert to_device(host, torch.device("cpu")) is host

"""Where the model runs."""

from __future__ import annotations

import torch

from fastffdi.errors import SettingError
from fastffdi.world import World


def choose_device(name: str) -> torch.device:
    """The device for --device: auto (CUDA where there is one), cpu, cuda or cuda:N.

    A CUDA device becomes torch's current one in this thread: pinned memory, events and what torch says of a
    GPU are then of this device, and no memory is taken on device 0 beside it. Where torchrun has started
    several processes on this machine, each has the GPU of its number.
    Raises SettingError for a name that is none of these, and for CUDA that is absent.
    """
    world = World.here()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()) or (kind == "cpu" and index):
        raise SettingError(f"--device {name}: is not one of auto, cpu, cuda, cuda:N")
    if kind == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if world.local_size > 1:
        if index:
            raise SettingError(f"--device {name}: each process has a GPU of its own; take --device cuda")
        if world.local_rank >= count > 0:
            raise SettingError(
                f"--device {name}: {world.local_size} processes for {count} GPU{'s' * (count != 1)}; start "
                "torchrun with one for each"
            )
        index = str(world.local_rank)
    if int(index or 0) >= count:
        raise SettingError(
            f"--device {name}: torch {torch.__version__} sees {count or 'no'} CUDA device{'s' * (count != 1)}"
            " here; take --device cpu, or run `fastffdi doctor` to see why"
        )
    torch.cuda.set_device(int(index or 0))
    return torch.device("cuda", int(index or 0))


def named(device: torch.device) -> str:
    """The device, and what torch calls a GPU."""
    if device.type != "cuda":
        return str(device)
    return f"{device} ({torch.cuda.get_device_name(device)})"


def tune_convolutions(device: torch.device) -> None:
    """Let cuDNN choose its algorithms by trial, and compute float32 convolutions in TF32; CUDA only.

    Shapes are fixed, so that the trial is made once per layer. TF32 (10 bits of mantissa) is torch's default
    for cuDNN, set here so that what `precision.choose` says is true; matrix products stay in float32, since
    the kernels of DeviceStage need their accuracy.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = True


def recorded_event(device: torch.device, timing: bool = False) -> torch.cuda.Event:
    """An event at the present end of the CUDA device's current stream; `timing` as torch.cuda.Event's."""
    event: torch.cuda.Event = torch.cuda.Event(enable_timing=timing)  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event

"""The one place that maps a name to a loader."""

from __future__ import annotations

import os

import torch

from fastffdi.errors import SettingError, did_you_mean
from fastffdi.loaders.batch import Backend
from fastffdi.loaders.memory_cap import decoded_at_once, within_cap
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings

NAMES = ("auto", "dali", "cpu", "torchvision")

INSTALL_DALI = "pip install nvidia-dali-cuda120"


def choose_loader(name: str, device: torch.device, process: bool | None = None, cache: bool = False) -> str:
    """The loader for `--loader name` when the model is on `device`: dali, cpu or torchvision.

    `auto` is dali where CUDA and DALI are there, else cpu; and cpu where `process` asks for a child process
    or `cache` for cached images. Raises SettingError for an unknown name, for a loader that cannot do what is
    asked for, and for DALI that cannot be imported.
    """
    if name not in NAMES:
        raise SettingError(f"--loader {name}: unknown loader{did_you_mean(name, NAMES)}")
    for option, asked in (("--loader-process", process), ("--cache", cache)):
        if asked and name not in ("auto", "cpu"):
            raise SettingError(f"{option}: goes with --loader cpu, not with {name}; leave out one of the two")
    if name == "auto":
        if process or cache:
            return "cpu"
        return "dali" if device.type == "cuda" and not dali_problem() else "cpu"
    if name == "dali" and (problem := dali_problem()):
        raise SettingError(f"--loader dali: {problem}; {INSTALL_DALI}, or choose --loader cpu")
    return name


def build_loader(name: str, planner: BatchPlanner, settings: LoaderSettings, device: torch.device) -> Backend:
    """The loader that `choose_loader` named, for batches that go to `device`.

    Raises RecipeError where the loader cannot render the planner's steps, SettingError where it cannot take
    images from the planner's decoder or no child process can be started.
    """
    if name == "dali":
        from fastffdi.loaders.dali import DaliLoader

        return DaliLoader(planner, settings, device, decoded_at_once(planner, settings, device))
    if name == "torchvision":
        from fastffdi.loaders.torchvision import TorchvisionLoader

        return TorchvisionLoader(planner, settings, device)
    settings, on_cpu = within_cap(planner, settings), device.type == "cpu"
    if in_process(settings.process, device):
        from fastffdi.loaders.process.loader import ProcessLoader

        return ProcessLoader(planner, settings, device, beyond=on_cpu)
    from fastffdi.loaders.cpu import CpuLoader

    return CpuLoader(planner, settings, beyond=on_cpu, pinned=not on_cpu)


def in_process(asked: bool | None, device: torch.device) -> bool:
    """Whether the cpu loader's threads run in a child process."""
    possible = os.name == "posix"  # elsewhere a child cannot be given open files
    if asked and not possible:
        raise SettingError("--loader-process: not on this system; leave it out")
    return possible and (device.type == "cuda" if asked is None else asked)


def dali_problem() -> str:
    """Why DALI cannot be imported here, in a few words; empty where it can."""
    try:
        import fastffdi.loaders.dali  # noqa: F401
    except Exception as error:  # a broken installation fails as it likes
        if isinstance(error, ModuleNotFoundError) and error.name in ("nvidia", "nvidia.dali"):
            return "DALI is not installed"
        return f"DALI is installed but cannot be loaded ({' '.join(str(error).split())})"
    return ""

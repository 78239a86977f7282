"""The one place that maps a name to a loader."""

from __future__ import annotations

import importlib
import os

import torch

from fastffdi.errors import SettingError, did_you_mean
from fastffdi.loaders.batch import Loader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings

NAMES = ("auto", "dali", "cpu", "torchvision")

INSTALL_DALI = "pip install nvidia-dali-cuda120"


def choose_loader(name: str, device: torch.device, process: bool | None = None) -> str:
    """The loader for `--loader name` when the model is on `device`: dali, cpu or torchvision.

    `auto` is dali where CUDA and DALI are there, else cpu; and cpu where `process` asks for a process of its
    own. Raises SettingError for an unknown name, for a process that another loader would not use, and for
    DALI that is asked for but cannot be imported.
    """
    if name not in NAMES:
        raise SettingError(f"--loader {name}: unknown loader{did_you_mean(name, NAMES)}")
    if process and name not in ("auto", "cpu"):
        raise SettingError(
            f"--loader-process: goes with --loader cpu, not with {name}; leave out one of the two"
        )
    if name == "auto":
        if process:
            return "cpu"
        return "dali" if device.type == "cuda" and not dali_problem() else "cpu"
    if name == "dali" and (problem := dali_problem()):
        raise SettingError(f"--loader dali: {problem}; {INSTALL_DALI}, or take --loader cpu")
    return name


def build_loader(name: str, planner: BatchPlanner, settings: LoaderSettings, device: torch.device) -> Loader:
    """The loader that `choose` named, for batches that go to `device`.

    Raises RecipeError where the loader cannot render the feed's steps, SettingError where there is no loading
    process to be had.
    """
    if name == "dali":
        from fastffdi.loaders.dali import DaliLoader

        return DaliLoader(planner, settings.threads, device, settings.prefetch, settings.hw_decoder_load)
    if name == "torchvision":
        from fastffdi.loaders.torchvision import TorchvisionLoader

        return TorchvisionLoader(planner, settings.threads, device)
    on_cpu = device.type == "cpu"
    if _in_process(settings.process, device):
        from fastffdi.loaders.process.loader import ProcessLoader

        return ProcessLoader(planner, settings.threads, device, beyond=on_cpu, ahead=settings.prefetch)
    from fastffdi.loaders.cpu import CpuLoader

    return CpuLoader(planner, settings.threads, beyond=on_cpu, pinned=not on_cpu, ahead=settings.prefetch)


def _in_process(asked: bool | None, device: torch.device) -> bool:
    """Whether the cpu loader's threads live in a process of their own."""
    possible = os.name == "posix"  # elsewhere a child cannot be given open files
    if asked and not possible:
        raise SettingError("--loader-process: not on this system; leave it away")
    return possible and (device.type == "cuda" if asked is None else asked)


def dali_problem() -> str:
    """Why DALI cannot be imported here, in a few words; empty where it can."""
    try:
        importlib.import_module("nvidia.dali")
    except ModuleNotFoundError:
        return "DALI is not installed"
    except Exception as error:  # a broken installation fails as it likes
        return f"DALI is installed but cannot be loaded ({' '.join(str(error).split())})"
    return ""

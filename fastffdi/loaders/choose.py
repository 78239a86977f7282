"""The one place that maps a name to a loader."""

from __future__ import annotations

import importlib

import torch

from fastffdi.errors import SettingError, did_you_mean
from fastffdi.loaders.batch import Loader
from fastffdi.loaders.feed import Feed

NAMES = ("auto", "dali", "cpu", "torchvision")

INSTALL_DALI = "pip install nvidia-dali-cuda120"


def choose(name: str, device: torch.device) -> str:
    """The loader for `--loader name` when the model is on `device`: dali, cpu or torchvision.

    `auto` is dali where CUDA and DALI are there, else cpu. Raises SettingError for an unknown name, and for
    DALI that is asked for but cannot be imported.
    """
    if name not in NAMES:
        raise SettingError(f"--loader {name}: unknown loader{did_you_mean(name, NAMES)}")
    if name == "auto":
        return "dali" if device.type == "cuda" and not dali_problem() else "cpu"
    if name == "dali" and (problem := dali_problem()):
        raise SettingError(f"--loader dali: {problem}; {INSTALL_DALI}, or take --loader cpu")
    return name


def build(name: str, feed: Feed, threads: int, device: torch.device, deterministic: bool = False) -> Loader:
    """The loader that `choose` named, for batches that go to `device`.

    threads        decoding threads; worker processes for torchvision
    deterministic  on a GPU, dali keeps out the decoder whose result depends on how pictures are batched

    Raises RecipeError where the loader cannot render the feed's steps.
    """
    if name == "dali":
        from fastffdi.loaders.dali import DaliLoader

        return DaliLoader(feed, threads, device, deterministic)
    if name == "torchvision":
        from fastffdi.loaders.stock import StockLoader

        return StockLoader(feed, threads, device)
    from fastffdi.loaders.cpu import CpuLoader

    on_cpu = device.type == "cpu"
    return CpuLoader(feed, threads, beyond=on_cpu, pinned=not on_cpu)


def dali_problem() -> str:
    """Why DALI cannot be imported here, in a few words; empty where it can."""
    try:
        importlib.import_module("nvidia.dali")
    except ModuleNotFoundError:
        return "DALI is not installed"
    except Exception as error:  # a broken installation fails as it likes
        return f"DALI is installed but cannot be loaded ({' '.join(str(error).split())})"
    return ""

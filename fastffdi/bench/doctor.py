"""What works on this machine, found by trying it."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fastffdi.bench import machine
from fastffdi.data.manifest import Manifest
from fastffdi.files import cache_folder
from fastffdi.loaders import factory
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings, usable_cores
from fastffdi.model import precision
from fastffdi.model.backbone import load_recipe
from fastffdi.model.device import choose_device
from fastffdi.render.device.stage import DeviceStage


def checks() -> Iterator[tuple[str, str]]:
    """(what, state) of each check, as soon as it is done; none of them raises."""
    device = choose_device("auto")
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    yield "driver", _driver()
    yield "torch", _torch()
    yield "DALI", _dali()
    yield "cores", f"{usable_cores()} of {os.cpu_count()} usable ({machine.cpu_model()})"
    yield "precision", _precision(device)
    for kind in dict.fromkeys(("cpu", device.type)):
        for name in factory.NAMES[1:]:
            yield f"loader {name}, {kind}", _trial(name, torch.device(kind))
    yield "loader auto", f"takes {factory.choose_loader('auto', device)} for a model on {device.type}"
    yield "cache folder", _cache()


def _driver() -> str:
    version = machine.driver()
    if version is None:
        return "none found (nvidia-smi is not there or does not answer): no CUDA"
    return f"NVIDIA {version}, {machine.gpu_name() or 'but torch sees no GPU'}"


def _torch() -> str:
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    usable = torch.cuda.is_available()
    return f"{torch.__version__}, built with {built}, which {'works' if usable else 'cannot be used'} here"


def _dali() -> str:
    problem = factory.dali_problem()
    if problem:
        return f"{problem}; {factory.INSTALL_DALI}"
    versions = machine.versions()
    return f"{versions['dali']}, built with CUDA {versions['dali_cuda']}"


def _precision(device: torch.device) -> str:
    able = precision.detect(device)
    chosen = precision.choose("auto", device, able)
    off = "" if chosen.name == "off" else f"; --amp off is {precision.float32_name(device, able)}"
    return f"{chosen.reason} (on {device.type}){off}"


def _trial(name: str, device: torch.device) -> str:
    """Whether a loader gives an image on the device."""
    try:
        seconds = _first_batch(factory.choose_loader(name, device), device)
    except Exception as error:  # whatever is wrong is the answer
        return f"does not work: {' '.join(str(error).split()) or type(error).__name__}"
    return f"works (first batch after {seconds:.1f} s)"


def _first_batch(name: str, device: torch.device) -> float:
    """Seconds to the first image on the device, imports included."""
    with tempfile.TemporaryDirectory() as folder:
        Image.new("RGB", (64, 64), (200, 100, 50)).save(Path(folder) / "image.jpg")
        began = time.perf_counter()
        manifest, settings = Manifest(folder, np.array(["image.jpg"], object)), LoaderSettings(1, 1)
        planner = BatchPlanner.over(manifest, load_recipe("jitter").train, settings)
        with closing(factory.build_loader(name, planner, settings, device)) as loader:
            DeviceStage(device, torch.float32)(next(iter(loader.epoch(0)))).cpu()
        return time.perf_counter() - began


def _cache() -> str:
    folder = cache_folder()
    if not folder.exists():
        return f"{folder} (not made yet)"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{folder} ({size / 2**20:.0f} MiB)"

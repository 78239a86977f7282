"""The machine and the versions that a measurement depends on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import torch

from fastffdi.loaders.factory import dali_problem
from fastffdi.loaders.settings import usable_cores

_PACKAGES = {
    "fastffdi": "fastffdi",
    "torch": "torch",
    "torchvision": "torchvision",
    "opencv": "opencv-python-headless",
    "simplejpeg": "simplejpeg",
    "pillow": "pillow",
}


def facts() -> dict[str, Any]:
    """The machine as plain data: cpu, cores, memory_gib, gpu, driver, os, load, versions, date.

    `load` is the average number of processes that were running or waiting for a core in the last minute.
    """
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": gpu_name(),
        "driver": driver(),
        "os": platform.platform(),
        "load": round(psutil.getloadavg()[0], 1),
        "versions": versions(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def sentence(machine: dict[str, Any], threads: int) -> str:
    """The facts in one line, for measurements on `threads` cores."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    cores = f"{min(threads, machine['cores'])} of {machine['cores']} cores"
    hardware = f"{machine['cpu']}, {cores}, {machine['gpu'] or 'no GPU'}"
    return f"Measured on {hardware}, load {machine['load']} before; {versions}; {machine['date'][:10]}."


def versions() -> dict[str, str | None]:
    """Versions by name; None where a package is not installed."""
    return {
        "python": platform.python_version(),
        **{name: _version([package]) for name, package in _PACKAGES.items()},
        "torch_cuda": torch.version.cuda,
        "dali": _version(["nvidia-dali-cuda120", "nvidia-dali-cuda130"]),
        "dali_cuda": dali_cuda(),
    }


def dali_cuda() -> str | None:
    """The CUDA version that DALI was built for, as major.minor; None where DALI cannot be imported."""
    if dali_problem():
        return None
    digits = str(sys.modules["nvidia.dali"].__cuda_version__)  # 12986 is 12.9.86
    return f"{digits[:2]}.{digits[2:3]}"


def cpu_model() -> str:
    """The processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gpu_name() -> str | None:
    """The GPU torch would use; None without one."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def driver() -> str | None:
    """The version of the NVIDIA driver according to nvidia-smi; None without one."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(answer.stdout.split()), None)


@contextmanager
def only_cores(count: int) -> Iterator[None]:
    """Restrict this process, and the processes it starts meanwhile, to `count` of its cores, where possible.

    Without it a loader whose last step runs in torch's threads would use more cores than one whose workers
    do everything.
    """
    torch_threads = torch.get_num_threads()
    torch.set_num_threads(min(torch_threads, count))
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    _move_threads(cores[:count])
    try:
        yield
    finally:
        _move_threads(cores)
        torch.set_num_threads(torch_threads)


def _move_threads(cores: Iterable[int]) -> None:
    for thread in psutil.Process().threads() if cores else ():
        with suppress(OSError):  # it has just ended
            os.sched_setaffinity(thread.id, cores)


def _version(packages: Iterable[str]) -> str | None:
    """The version of the first package that is installed."""
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(package)
    return None

"""What a figure was measured on: without it the figure says nothing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
_DALI_PACKAGES = ("nvidia-dali-cuda120", "nvidia-dali-cuda130")


def facts() -> dict[str, Any]:
    """The machine as plain data: cpu, cores, memory_gib, gpu, driver, os, load, versions, date.

    `load` is the average number of processes that wanted a core in the minute before.
    """
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "memory_gib": memory_gib(),
        "gpu": gpu_name(),
        "driver": driver(),
        "os": platform.platform(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "versions": versions(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def sentence(machine: dict[str, Any], threads: int) -> str:
    """The facts a reader needs beside a figure, in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    cores = f"{min(threads, machine['cores'])} of {machine['cores']} cores"
    hardware = f"{machine['cpu']}, {cores}, {machine['gpu'] or 'no GPU'}"
    return f"Measured on {hardware}, load {machine['load']} before; {versions}; {machine['date'][:10]}."


def versions() -> dict[str, str | None]:
    """Versions by name; None where a package is absent."""
    found = {name: _version(package) for name, package in _PACKAGES.items()}
    return {
        "python": platform.python_version(),
        **found,
        "torch_cuda": torch.version.cuda,
        "dali": next(filter(None, map(_version, _DALI_PACKAGES)), None),
        "dali_cuda": dali_cuda(),
    }


def dali_cuda() -> str | None:
    """The CUDA that DALI was built for, as major.minor; None where DALI cannot be imported."""
    if dali_problem():
        return None
    digits = str(sys.modules["nvidia.dali"].__cuda_version__)  # 12986 is 12.9.86
    return f"{digits[:2]}.{digits[2:3]}"


def cpu_model() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def memory_gib() -> float:
    """Physical memory in GiB."""
    return round(psutil.virtual_memory().total / 2**30, 1)


def gpu_name() -> str | None:
    """The GPU torch would use; None without one."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def driver() -> str | None:
    """The NVIDIA driver's version as nvidia-smi tells it; None without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(answer.stdout.split()), None)


@contextmanager
def only_cores(count: int) -> Iterator[None]:
    """Keep this process, and what it starts meanwhile, on `count` of its cores; where the system can.

    Without it, a loader whose last work is done by torch's threads would use more cores than one whose
    workers do everything.
    """
    everyone = torch.get_num_threads()
    torch.set_num_threads(min(everyone, count))
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set()
    _move_threads(set(sorted(cores)[:count]))
    try:
        yield
    finally:
        _move_threads(cores)
        torch.set_num_threads(everyone)


def _move_threads(cores: set[int]) -> None:
    for thread in Path("/proc/self/task").iterdir() if cores else ():
        try:
            os.sched_setaffinity(int(thread.name), cores)
        except OSError:  # it has just ended
            continue


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

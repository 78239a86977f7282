"""Compilation by torch.compile: a function of tensors in a few fused kernels, for one set of shapes."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import os
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from fastffdi.errors import RunError, SettingError

F = TypeVar("F", bound=Callable[..., Any])

_LONGEST = 200  # characters of torch's reason in a message


def compiled(function: F, device: torch.device) -> F:
    """`function` of tensors on `device`, compiled when it is first called, and again for other shapes.

    On CUDA the kernels are replayed as one CUDA graph (torch's `reduce-overhead`), whose outputs the next
    call overwrites: use what it returns, and its backward pass, before. Raises as `check`; what goes wrong
    later, `explained` turns into a line.
    """
    check(device)
    # It warns of a CUDA toolkit on machines without a GPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    fast: Any = torch.compile(function, dynamic=False, **_backend(device), **_isolated())
    return _replayed(fast) if device.type == "cuda" else fast  # type: ignore[return-value]


def check(device: torch.device) -> None:
    """Raise SettingError where the machine lacks what torch compiles with for the device."""
    lacking = _lacking(device)
    if lacking is not None:
        raise SettingError(f"--compile: needs {lacking}; install it, or leave out --compile")


@contextmanager
def explained() -> Iterator[None]:
    """Turn what the compiler raises, in a first forward or backward pass, into a RunError of one line."""
    try:
        yield
    except RuntimeError as error:
        # By name: importing its classes takes seconds, which runs without --compile need not wait.
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        shown = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}…"
        raise RunError(f"--compile: torch cannot compile this step ({shown}); leave out --compile") from error


def _backend(device: torch.device) -> dict[str, Any]:
    if device.type == "cuda":
        return {"mode": "reduce-overhead"}
    # Fused kernels then have names in torch.profiler, without which nothing can count them.
    return {"options": {"cpp.enable_kernel_profile": True}}


def _isolated() -> dict[str, Any]:
    # Else torch counts the runs of one process together, and after eight of them compiles no more.
    known = "isolate_recompiles" in inspect.signature(torch.compile).parameters
    return {"isolate_recompiles": True} if known else {}


def _replayed(fast: Callable[..., Any]) -> Callable[..., Any]:
    def call(*tensors: torch.Tensor) -> Any:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return fast(*tensors)

    return call


def _lacking(device: torch.device) -> str | None:
    """What the machine lacks to compile for the device, None if nothing."""
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        return "Python's headers (python3-dev)"
    if device.type != "cuda":
        return None if _cpp_compiler() else "a C++ compiler (g++, or the one that CXX names)"
    if importlib.util.find_spec("triton") is None:
        return "Triton (pip install triton)"
    c_compilers = [os.environ["CC"]] if "CC" in os.environ else ["gcc", "clang"]
    return None if any(map(shutil.which, c_compilers)) else "a C compiler (gcc, or the one that CC names)"


def _cpp_compiler() -> str | None:
    """The one that torch will use."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return get_cpp_compiler()
    except InvalidCxxCompiler:
        return None

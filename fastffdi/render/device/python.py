"""The user's own functions, on the host: the device waits for them."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from fastffdi.errors import FastffdiError, RecipeError, RunError
from fastffdi.recipe.kernels import Python
from fastffdi.render.device.tensors import Parameters, to_device


def imported(reference: str, folder: str = "") -> Callable[[np.ndarray], Any]:
    """The function module:name, from `folder` (the recipe's) before anywhere else; this runs the module.

    Raises RecipeError where there is none, and for an error in the module, with its file and line.
    """
    module, _, name = reference.partition(":")
    with _first(folder):
        try:
            function = getattr(importlib.import_module(module), name, None)
        except (Exception, SystemExit) as error:
            where = _place(error)
            if isinstance(error, ImportError) and not where:
                beside = f"put it in {folder}, or" if folder else "or put"
                raise RecipeError(
                    f"python: {reference}: cannot be imported ({error}); install it, {beside} its folder on "
                    "PYTHONPATH"
                ) from error
            raise RecipeError(f"python: {reference}: {where}{_said(error)}; correct it") from error
    if not callable(function):
        raise RecipeError(f"python: {reference}: module {module} has no function '{name}'")
    return function


def called(x: torch.Tensor, kernel: Python, p: Parameters) -> torch.Tensor:
    """What the function makes of x (N, H, W, 3) uint8.

    Raises RunError unless shape and dtype are kept, and for an error in it, with its file and line.
    """
    images = x.cpu().numpy().copy()
    function = imported(kernel.function, kernel.folder)
    with _first(kernel.folder):
        try:
            out = function(images)
        except FastffdiError:
            raise
        except Exception as error:
            where = f"{_place(error)}{_said(error)}"
            raise RunError(f"python: {kernel.function}: {where}; correct it") from error
    if not isinstance(out, np.ndarray) or out.dtype != np.uint8 or out.shape != x.shape:
        shown = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise RunError(
            f"python: {kernel.function}: gave {shown} for uint8 {tuple(x.shape)}; it must keep shape and type"
        )
    return to_device(torch.from_numpy(np.ascontiguousarray(out)), x.device)


@contextlib.contextmanager
def _first(folder: str) -> Iterator[None]:
    """Modules are looked for in `folder` first, as Python does in that of a script; "" changes nothing."""
    if not folder:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the user's module may have taken it out
            sys.path.remove(folder)


def _place(error: BaseException) -> str:
    """`own.py, line 3: `: where in the user's code the error arose; empty where it did not arise there."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: "
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is here
    own = [frame for frame in frames if not _is_library(frame.filename)]
    return f"{own[-1].filename}, line {own[-1].lineno}: " if own else ""


def _is_library(file: str) -> bool:
    paths = sysconfig.get_paths()
    folders = (os.path.join(paths[name], "") for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return file.startswith(("<", *folders))


def _said(error: BaseException) -> str:
    """The error in one line, as the last line of a traceback."""
    reason = error.msg if isinstance(error, SyntaxError) else error
    return " ".join(f"{type(error).__name__}: {reason}".split()).rstrip(": ")

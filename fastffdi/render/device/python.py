"""The user's own functions, on the host: the device waits for them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from fastffdi.errors import RecipeError, RunError
from fastffdi.recipe.kernels import Python
from fastffdi.render.device.tensors import Parameters, to_device


def imported(reference: str) -> Callable[[np.ndarray], Any]:
    """The function module:name; importing runs the module. Raises RecipeError where there is none."""
    module, _, name = reference.partition(":")
    try:
        function = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise RecipeError(
            f"python: {reference}: cannot be imported ({error}); install it, or put its folder on PYTHONPATH"
        ) from error
    if not callable(function):
        raise RecipeError(f"python: {reference}: module {module} has no function '{name}'")
    return function


def called(x: torch.Tensor, kernel: Python, p: Parameters) -> torch.Tensor:
    """What the function makes of x (N, H, W, 3) uint8. Raises RunError unless shape and dtype are kept."""
    images = x.cpu().numpy().copy()
    out = imported(kernel.function)(images)
    if not isinstance(out, np.ndarray) or out.dtype != np.uint8 or out.shape != x.shape:
        shown = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise RunError(
            f"python: {kernel.function}: gave {shown} for uint8 {tuple(x.shape)}; it must keep shape and type"
        )
    return to_device(torch.from_numpy(np.ascontiguousarray(out)), x.device)

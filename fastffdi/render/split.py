"""The cut: how much of a program a loader renders; the DeviceStage renders the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from fastffdi.errors import RecipeError
from fastffdi.recipe.kernels import Kernel, Normalize, Program
from fastffdi.recipe.lowering import sizing_point


def cut(template: Program, renders: Callable[[Kernel], bool], loader: str, beyond: bool = True) -> int:
    """How many of the outline's kernels a loader renders that can render those for which `renders` is true.

    It goes at least through the sizing point, after which all images have one size, and `beyond` it as far
    as it can; never to Normalize, which is the DeviceStage's. Raises RecipeError where it cannot go so far.
    """
    least = sizing_point(template)
    assert least is not None, "a recipe without a sizing point is refused when it is read"
    for kernel in template.kernels[:least]:
        if not renders(kernel):
            raise RecipeError(
                f"--loader {loader} cannot render {described(kernel)}, which this recipe needs before "
                "all images have one size; resize or crop earlier, or take another loader"
            )
    place = least
    while beyond and not isinstance(template.kernels[place], Normalize) and renders(template.kernels[place]):
        place += 1
    return place


def described(kernel: Kernel) -> str:
    """A kernel's name, with what it has that others of its name may not: "Window with mode reflect"."""
    special = [
        f"{field.name} {getattr(kernel, field.name)}"
        for field in dataclasses.fields(kernel)
        if field.default not in (dataclasses.MISSING, None) and getattr(kernel, field.name) != field.default
    ]
    return type(kernel).__name__ + (" with " + " and ".join(special) if special else "")

"""Dividing a program between a loader and the DeviceStage."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from fastffdi.errors import RecipeError
from fastffdi.recipe.kernels import Kernel
from fastffdi.recipe.lowering import sizing_point
from fastffdi.recipe.program import EMPTY, Program


@dataclass(frozen=True)
class Split:
    """Where every program of a recipe is divided: the loader renders the first `count` kernels."""

    count: int

    def loader(self, program: Program) -> Program:
        """The part that the loader renders."""
        return program.first(self.count)

    def remaining(self, program: Program) -> Program:
        """The part that is left for the DeviceStage, normalising included."""
        return program.after(self.count)


def split(
    template: Program,
    renders: Callable[[Kernel], bool],
    loader: str,
    beyond: bool = True,
    before: Program = EMPTY,
) -> Split:
    """How a loader that can render the kernels for which `renders` is true divides the template's programs.

    It renders at least through the sizing point, after which all images have one size, and `beyond` it as far
    as it can. `before` is what is applied to the images before the program (see BatchPlan).
    Raises RecipeError where it cannot render so far.
    """
    point = sizing_point(Program((*before.kernels, *template.kernels)))
    assert point is not None, "a recipe without a sizing point is refused when it is read"
    count = max(0, point - len(before))
    for kernel in template.kernels[:count]:
        if not renders(kernel):
            raise RecipeError(
                f"--loader {loader} cannot render {described(kernel)}, which this recipe needs before "
                "all images have one size; resize or crop earlier, or choose another loader"
            )
    while beyond and count < len(template) and renders(template.kernels[count]):
        count += 1
    return Split(count)


def described(kernel: Kernel) -> str:
    """A kernel's name with the fields that differ from their defaults: "Window with mode reflect"."""
    special = [
        f"{field.name} {getattr(kernel, field.name)}"
        for field in dataclasses.fields(kernel)
        if field.default not in (dataclasses.MISSING, None) and getattr(kernel, field.name) != field.default
    ]
    return type(kernel).__name__ + (" with " + " and ".join(special) if special else "")

"""The cut: how much of a program a loader renders; the DeviceStage renders the rest."""

from __future__ import annotations

from collections.abc import Container

from fastffdi.errors import RecipeError
from fastffdi.recipe.kernels import Kernel, Normalize, Program
from fastffdi.recipe.lowering import sizing_point


def cut(outline: Program, renders: Container[type[Kernel]], loader: str, beyond: bool = True) -> int:
    """How many of the outline's kernels a loader renders that has those in `renders`.

    It goes at least through the sizing point, after which all pictures have one size, and `beyond` it as far
    as it can; never to Normalize, which is the DeviceStage's. Raises RecipeError where it cannot go so far.
    """
    least = sizing_point(outline)
    assert least is not None, "a recipe without a sizing point is refused when it is read"
    for kernel in outline.kernels[:least]:
        if type(kernel) not in renders:
            raise RecipeError(
                f"--loader {loader} cannot render {type(kernel).__name__}, which this recipe needs before "
                "all pictures have one size; resize or crop earlier, or take another loader"
            )
    place = least
    while beyond and type(outline.kernels[place]) in renders and not _ends(outline, place):
        place += 1
    return place


def _ends(outline: Program, place: int) -> bool:
    return isinstance(outline.kernels[place], Normalize)

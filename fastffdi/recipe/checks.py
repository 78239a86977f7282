"""Checks that need the whole list of steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastffdi.errors import RecipeError
from fastffdi.recipe.kernels import Normalize, Python
from fastffdi.recipe.lowering import same_size, sizes_along, sizing_point, template
from fastffdi.recipe.program import Program
from fastffdi.recipe.steps.base import Step, TooSmall


def check(steps: Sequence[Step], source: str) -> None:
    """Raise RecipeError where resolved steps do not fit together; `source` names their list in errors."""
    _check_normalize(steps, source)
    _check_sizes(steps, source)
    program = template(steps)
    if sizing_point(program) is None:
        raise RecipeError(
            f"{source}: no step brings all images to one size; add for example center_crop: {{size: 224}}"
        )
    _check_views(steps, source)
    _check_python(program, source)


def _check_normalize(steps: Sequence[Step], source: str) -> None:
    """Normalize comes once, at the end."""
    places = [k for k, step in enumerate(steps) if Normalize in step.kernels]
    if not places:
        raise RecipeError(f"{source}: must have one normalize, as its last step")
    after = places[0] + 1
    if after < len(steps):
        raise RecipeError(
            f"{source}[{after}]: {steps[after].name()} comes after normalize, which must be the last step"
        )


def _check_sizes(steps: Sequence[Step], source: str) -> None:
    """Every step gets images that are large enough; after the sizing point all images keep one size."""
    along = sizes_along(steps)
    size, maker = next(along), ""
    for k, step in enumerate(steps):
        try:
            after = next(along)
        except TooSmall as error:
            raise RecipeError(f"{source}: {step.name()}: {_too_small(error, size, maker)}") from None
        except ValueError as error:
            raise RecipeError(f"{source}: {step.name()}: {error}") from None
        if same_size(size) and not same_size(after):
            raise RecipeError(
                f"{source}[{k}]: {step.name()}: all images are {_shown(size)} before it and must stay so, "
                "but its steps leave some of another size"
            )
        if not np.array_equal(size, after):
            size, maker = after, step.name()


def _too_small(error: TooSmall, size: np.ndarray, maker: str) -> str:
    """The reason, naming the step that set the size where it is the same for all images."""
    if not maker or not same_size(size):
        return str(error)
    text = str(error).replace(f"an image of {_shown(size)}", f"the {_shown(size)} that {maker} gives")
    return text.replace("or resize first", "or change one of the two")


def _check_views(steps: Sequence[Step], source: str) -> None:
    """Views are made once, and after the sizing point."""
    places = [k for k, step in enumerate(steps) if step.views > 1]
    for k in places:
        line = f"{source}[{k}]: {steps[k].name()}"
        if k > places[0]:
            raise RecipeError(f"{line}: {steps[places[0]].name()} makes views already; leave one of them out")
        if sizing_point(template(steps[:k])) is None:
            raise RecipeError(f"{line}: not all images have one size yet; put a resize or crop before it")


def _check_python(program: Program, source: str) -> None:
    """A Python function gets a whole batch, so it must come after the sizing point."""
    if any(isinstance(kernel, Python) for kernel in program.kernels[: sizing_point(program)]):
        raise RecipeError(
            f"{source}: python: not all images have one size yet; put a resize or crop before it"
        )


def _shown(size: np.ndarray) -> str:
    return f"{size[0, 0]}×{size[0, 1]}"

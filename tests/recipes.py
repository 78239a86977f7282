"""Steps and recipes for tests, as a recipe file would give them."""

from typing import Any

from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step

#: The last entry of a recipe, and the step it is read as.
END = {"normalize": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}}
NORMALIZE = STEPS["normalize"].read(END["normalize"])


def step(name: str, **parameters: Any) -> Step:
    """The step of that name with parameters as in a file."""
    return STEPS[name].read(parameters)


def normalised(*steps: Step) -> tuple[Step, ...]:
    """The steps of a recipe: these, and then NORMALIZE."""
    return (*steps, NORMALIZE)

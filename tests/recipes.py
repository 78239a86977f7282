"""Steps and recipes for tests, as a recipe file would give them."""

from typing import Any

import numpy as np

from fastffdi.recipe.kernels import Kernel
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


def kernel_of(one: Step, u: list, size: tuple[int, int]) -> Kernel:
    """The only kernel of a step, for as many images of one (height, width) as u has rows of numbers."""
    numbers = np.array(u, np.float64).reshape(len(u), -1)
    (kernel,) = one.lower(numbers, np.tile(np.array(size, np.int32), (len(numbers), 1)))
    assert type(kernel) in one.kernels
    return kernel

"""All steps by the name a recipe uses. A new step is one class, listed here."""

from fastffdi.recipe.steps.base import Step
from fastffdi.recipe.steps.colour import ColorJitter, NormalizeStep
from fastffdi.recipe.steps.geometry import (
    CenterCrop,
    HorizontalFlip,
    RandomCrop,
    RandomResizedCrop,
    RandomRotation,
    ResizeStep,
    VerticalFlip,
)

STEPS: dict[str, type[Step]] = {
    step.name(): step
    for step in (
        ResizeStep,
        CenterCrop,
        RandomCrop,
        RandomResizedCrop,
        HorizontalFlip,
        VerticalFlip,
        RandomRotation,
        ColorJitter,
        NormalizeStep,
    )
}

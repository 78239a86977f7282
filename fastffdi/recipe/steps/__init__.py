"""All steps by the name a recipe uses. A new step is one class, listed here."""

from fastffdi.recipe.steps.base import Step
from fastffdi.recipe.steps.colour import ColorJitter, Grayscale, NormalizeStep, RandomGrayscale
from fastffdi.recipe.steps.combine import PythonStep, RandomApply, RandomChoice, RandomOrder
from fastffdi.recipe.steps.geometry import (
    CenterCrop,
    HorizontalFlip,
    Pad,
    RandomCrop,
    VerticalFlip,
)
from fastffdi.recipe.steps.policies import AugMix, AutoAugment, RandAugment, TrivialAugmentWide
from fastffdi.recipe.steps.resizing import RandomResizedCrop, ResizeStep
from fastffdi.recipe.steps.texture import (
    GaussianBlur,
    GaussianNoise,
    JpegCompression,
    RandomAdjustSharpness,
    RandomErasing,
)
from fastffdi.recipe.steps.tone import (
    RandomAutocontrast,
    RandomEqualize,
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
)
from fastffdi.recipe.steps.views import FiveCrop, FlipViews, TenCrop, Tiles
from fastffdi.recipe.steps.warps import RandomAffine, RandomPerspective, RandomRotation

STEPS: dict[str, type[Step]] = {
    step.name(): step
    for step in (
        ResizeStep,
        CenterCrop,
        RandomCrop,
        RandomResizedCrop,
        FiveCrop,
        TenCrop,
        FlipViews,
        Tiles,
        Pad,
        HorizontalFlip,
        VerticalFlip,
        RandomRotation,
        RandomAffine,
        RandomPerspective,
        ColorJitter,
        Grayscale,
        RandomGrayscale,
        RandomInvert,
        RandomPosterize,
        RandomSolarize,
        RandomEqualize,
        RandomAutocontrast,
        GaussianBlur,
        RandomAdjustSharpness,
        JpegCompression,
        GaussianNoise,
        RandomErasing,
        AutoAugment,
        RandAugment,
        TrivialAugmentWide,
        AugMix,
        RandomApply,
        RandomChoice,
        RandomOrder,
        PythonStep,
        NormalizeStep,
    )
}

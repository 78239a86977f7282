"""torchvision's own transforms for a recipe's steps, as a competent user would write them.

They work on Pillow images, as in the tutorial; from the first step that torchvision offers for tensors only,
on uint8 tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import v2

from fastffdi.errors import RecipeError
from fastffdi.recipe.steps import colour, combine, geometry, policies, resizing, texture, tone, views, warps
from fastffdi.recipe.steps.base import Range, Step

#: torchvision does not offer these for Pillow images.
_TENSOR_ONLY = (texture.RandomErasing, texture.GaussianNoise)


def composed(steps: tuple[Step, ...]) -> Callable[[Image.Image], torch.Tensor]:
    """torchvision's transforms for a recipe's steps: Pillow's image to (3, H, W) float32.

    Raises RecipeError for a step that torchvision has no transform for.
    """
    made: list[Any] = []
    tensor = False
    for step in steps:
        if not tensor and _needs_tensor(step):
            made, tensor = [*made, v2.PILToTensor()], True
        if isinstance(step, colour.NormalizeStep):
            # v2's ToImage and ToDtype leave Pillow's channels last, and stacking such costs 0.2 ms each.
            made += [v2.ToDtype(torch.float32, scale=True) if tensor else transforms.ToTensor()]
        made.append(transform(step))
    return v2.Compose(made)


def transform(step: Step) -> Any:
    """torchvision's transform for a step. Raises RecipeError where it has none."""
    if type(step) in REFUSED:
        raise RecipeError(
            f"--loader torchvision cannot express {step.name()}: {REFUSED[type(step)]}; take another loader"
        )
    if type(step) not in TRANSFORMS:
        raise RecipeError(f"--loader torchvision cannot express {step.name()}; take another loader")
    return TRANSFORMS[type(step)](step)


def _needs_tensor(step: Step) -> bool:
    if isinstance(step, combine.Combined):
        return any(map(_needs_tensor, step.transforms))
    return isinstance(step, _TENSOR_ONLY)


def _pair(span: Range) -> tuple[float, float]:
    return span.low, span.high


def _mode(step: Any) -> v2.InterpolationMode:
    return v2.InterpolationMode(step.interpolation)


def _point(center: tuple[float, float] | None) -> list[float] | None:
    return None if center is None else list(center)


def _random_crop(step: geometry.RandomCrop) -> Any:
    padding = list(step.padding) if any(step.padding) else None
    return v2.RandomCrop(step.size, padding, step.pad_if_needed, step.fill, step.padding_mode)


def _random_resized_crop(step: resizing.RandomResizedCrop) -> Any:
    scale, ratio = _pair(step.scale), _pair(step.ratio)
    return v2.RandomResizedCrop(step.size, scale, ratio, interpolation=_mode(step))


def _random_rotation(step: warps.RandomRotation) -> Any:
    turn, center = _pair(step.degrees), _point(step.center)
    return v2.RandomRotation(turn, interpolation=_mode(step), center=center, fill=step.fill)


def _random_affine(step: warps.RandomAffine) -> Any:
    return v2.RandomAffine(
        _pair(step.degrees),
        step.translate,
        _pair(step.scale),
        step.shear,
        interpolation=_mode(step),
        fill=step.fill,
        center=_point(step.center),
    )


def _random_perspective(step: warps.RandomPerspective) -> Any:
    return v2.RandomPerspective(step.distortion_scale, step.p, interpolation=_mode(step), fill=step.fill)


def _color_jitter(step: colour.ColorJitter) -> Any:
    return v2.ColorJitter(*map(_pair, (step.brightness, step.contrast, step.saturation, step.hue)))


def _jpeg_compression(step: texture.JpegCompression) -> Any:
    jpeg = v2.JPEG((int(step.quality.low), int(step.quality.high)))
    return jpeg if step.p == 1 else v2.RandomApply([jpeg], step.p)


def _gaussian_noise(step: texture.GaussianNoise) -> Any:
    if step.sigma.low != step.sigma.high:
        raise RecipeError(
            "--loader torchvision cannot express gaussian_noise with a range: its own has one sigma for all "
            "images; give one number, or take another loader"
        )
    return v2.GaussianNoise(step.mean, step.sigma.low)


def _random_erasing(step: texture.RandomErasing) -> Any:
    return v2.RandomErasing(step.p, _pair(step.scale), _pair(step.ratio), list(step.value))


def _auto_augment(step: policies.AutoAugment) -> Any:
    policy = v2.AutoAugmentPolicy(step.policy)
    return v2.AutoAugment(policy, interpolation=_mode(step), fill=step.fill)


def _rand_augment(step: policies.RandAugment) -> Any:
    return v2.RandAugment(step.num_ops, step.magnitude, step.num_magnitude_bins, _mode(step), step.fill)


def _trivial_augment_wide(step: policies.TrivialAugmentWide) -> Any:
    return v2.TrivialAugmentWide(step.num_magnitude_bins, _mode(step), step.fill)


def _aug_mix(step: policies.AugMix) -> Any:
    numbers = step.severity, step.mixture_width, step.chain_depth, step.alpha
    return v2.AugMix(*numbers, step.all_ops, _mode(step), step.fill)


def _random_apply(step: combine.RandomApply) -> Any:
    return v2.RandomApply([transform(one) for one in step.transforms], step.p)


def _random_choice(step: combine.RandomChoice) -> Any:
    weights = None if step.p is None else list(step.p)
    return v2.RandomChoice([transform(one) for one in step.transforms], weights)


def _random_order(step: combine.RandomOrder) -> Any:
    return v2.RandomOrder([transform(one) for one in step.transforms])


#: For each step a transform, on Pillow's images or on tensors; normalize is on float32 tensors.
TRANSFORMS: dict[type[Step], Callable[[Any], Any]] = {
    resizing.ResizeStep: lambda step: v2.Resize(step.size, _mode(step), step.max_size),
    geometry.CenterCrop: lambda step: v2.CenterCrop(step.size),
    geometry.RandomCrop: _random_crop,
    resizing.RandomResizedCrop: _random_resized_crop,
    geometry.Pad: lambda step: v2.Pad(list(step.padding), step.fill, step.padding_mode),
    geometry.HorizontalFlip: lambda step: v2.RandomHorizontalFlip(step.p),
    geometry.VerticalFlip: lambda step: v2.RandomVerticalFlip(step.p),
    warps.RandomRotation: _random_rotation,
    warps.RandomAffine: _random_affine,
    warps.RandomPerspective: _random_perspective,
    colour.ColorJitter: _color_jitter,
    colour.Grayscale: lambda step: v2.Grayscale(num_output_channels=3),
    colour.RandomGrayscale: lambda step: v2.RandomGrayscale(step.p),
    colour.NormalizeStep: lambda step: v2.Normalize(step.mean, step.std),
    tone.RandomInvert: lambda step: v2.RandomInvert(step.p),
    tone.RandomPosterize: lambda step: v2.RandomPosterize(step.bits, step.p),
    tone.RandomSolarize: lambda step: v2.RandomSolarize(step.threshold, step.p),
    tone.RandomEqualize: lambda step: v2.RandomEqualize(step.p),
    tone.RandomAutocontrast: lambda step: v2.RandomAutocontrast(step.p),
    texture.GaussianBlur: lambda step: v2.GaussianBlur(list(step.kernel_size), _pair(step.sigma)),
    texture.RandomAdjustSharpness: lambda step: v2.RandomAdjustSharpness(step.sharpness_factor, step.p),
    texture.JpegCompression: _jpeg_compression,
    texture.GaussianNoise: _gaussian_noise,
    texture.RandomErasing: _random_erasing,
    policies.AutoAugment: _auto_augment,
    policies.RandAugment: _rand_augment,
    policies.TrivialAugmentWide: _trivial_augment_wide,
    policies.AugMix: _aug_mix,
    combine.RandomApply: _random_apply,
    combine.RandomChoice: _random_choice,
    combine.RandomOrder: _random_order,
}

_VIEWS = "an image's several views have no place in the DataLoader's batches"

#: Steps that the baseline refuses, and why.
REFUSED: dict[type[Step], str] = {
    views.FiveCrop: _VIEWS,
    views.TenCrop: _VIEWS,
    views.FlipViews: _VIEWS,
    views.Tiles: _VIEWS,
    combine.PythonStep: "your function is called on whole batches, which its workers do not have",
}

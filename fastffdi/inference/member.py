"""A checkpoint as predicting needs it: its model on the device, and what it says of images and decisions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fastffdi.errors import RecipeError, SettingError
from fastffdi.escapes import escaped
from fastffdi.evaluation.decision import Decision
from fastffdi.inference.forward import Autocast
from fastffdi.inference.views import Viewing, Views, viewing
from fastffdi.model.backbone import check_input
from fastffdi.model.checkpoint import restore
from fastffdi.model.precision import cast_weights
from fastffdi.model.precision import choose as choose_precision
from fastffdi.recipe.lowering import output_size, template
from fastffdi.recipe.recipe import Recipe, parse


@dataclass(frozen=True)
class Member:
    """A model, alone or of an ensemble.

    Attributes:
        recipe: its own, as it was trained
        decision: the one that is stored in the checkpoint
        viewings: how it looks at each image, one for each scale
    """

    path: Path
    recipe: Recipe
    decision: Decision | None
    viewings: tuple[Viewing, ...]
    forward: Autocast


def load(
    path: Path,
    device: torch.device,
    amp: str,
    views: Views | None = None,
    scales: tuple[float, ...] = (1.0,),
) -> Member:
    """The checkpoint at a path, its model on the device, in eval mode and its precision.

    Raises SettingError for a file that is no checkpoint, for an `amp` that the device cannot compute, and for
    views and scales that the model cannot be given; RecipeError for a recipe that is not valid.
    """
    precision = choose_precision(amp, device)
    described, model = restore(path)
    recipe = recipe_of(described.recipe, path)
    decision = decision_of(described.decision, path)
    viewings = tuple(viewing(recipe, views, scale) for scale in scales)
    _check_scales(path, model, scales, viewings)
    forward = Autocast(cast_weights(model.to(device), precision).eval(), precision)
    return Member(path, recipe, decision, viewings, forward)


def _check_scales(
    path: Path, model: torch.nn.Module, scales: tuple[float, ...], viewings: tuple[Viewing, ...]
) -> None:
    """Raise SettingError where two scales are one size, or the model refuses the size of one."""
    seen: dict[tuple[int, int], float] = {}
    for scale, one in zip(scales, viewings, strict=True):
        size = output_size(template(one.steps))
        height, width = size
        if size in seen:
            raise SettingError(
                f"--scales {seen[size]:g},{scale:g}: for {path} both are {height}×{width}, as sizes are "
                "multiples of 32; leave one out"
            )
        seen[size] = scale
        if scale == 1:
            continue
        try:
            check_input(model, size)
        except SettingError:
            raise SettingError(
                f"--scales {scale:g}: the backbone of {path} takes no images of {height}×{width}; leave out "
                "--scales, or take a convolutional one"
            ) from None


def recipe_of(data: Any, path: Path) -> Recipe:
    """The recipe of the checkpoint at a path; what its training steps name is not imported.

    Raises RecipeError in one line, whatever is in it.
    """
    try:
        return parse(data, "its recipe", code=True)
    except RecipeError as error:
        first, *more = error.args
        others = f", and {len(more)} more" * bool(more)
        raise RecipeError(f"checkpoint {path}: {escaped(first)[:1000]}{others}") from error


def decision_of(data: Any, path: Path) -> Decision | None:
    """The decision stored in the checkpoint at a path, if any. Raises SettingError for what is none."""
    try:
        return None if data is None else Decision.from_data(data)
    except ValueError as error:
        raise SettingError(f"checkpoint {path}: {escaped(str(error))[:300]}; store it anew") from None

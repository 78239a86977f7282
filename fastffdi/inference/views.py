"""Test-time augmentation: a checkpoint's recipe, changed so that every image is scored in several views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastffdi.errors import RecipeError, SettingError, did_you_mean
from fastffdi.inference.canvas import enlarged, in_middle, larger, output, tiled
from fastffdi.inference.pooling import POOL, Pool
from fastffdi.recipe.checks import check
from fastffdi.recipe.lowering import same_size, sizes_along, template
from fastffdi.recipe.recipe import Recipe
from fastffdi.recipe.steps.base import LARGEST, Step
from fastffdi.recipe.steps.combine import functions
from fastffdi.recipe.steps.views import MOST_TILES, FiveCrop, FlipViews, TenCrop

#: Kinds of views, and the highest number that one may have; 0 where it has none.
KINDS = {"flip": 0, "five_crop": 0, "ten_crop": 0, "tiles": MOST_TILES, "random": 64}

WAYS = "flip, five_crop, ten_crop, tiles:N or random:N"

#: The smallest and largest number that --scales takes.
SCALES = 0.25, 4.0


@dataclass(frozen=True)
class Views:
    """What `--views` asks for; `number` is how many tiles a side, or how many draws."""

    kind: str
    number: int = 0

    @classmethod
    def parsed(cls, text: str) -> Views:
        """From flip, five_crop, ten_crop, tiles:N or random:N. Raises SettingError."""
        kind, colon, number = text.partition(":")
        if kind not in KINDS:
            raise SettingError(f"--views {text}: unknown{did_you_mean(kind, KINDS)}; give {WAYS}")
        most = KINDS[kind]
        if bool(colon) != bool(most):
            raise SettingError(f"--views {text}: give {kind}{':N, how many' if most else ' alone'}")
        if not most:
            return cls(kind)
        least = 2 if kind == "tiles" else 1
        if not (number.isascii() and number.isdigit() and least <= int(number) <= most):
            raise SettingError(f"--views {text}: give {kind}:N with N from {least} to {most}")
        return cls(kind, int(number))

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}" if self.number else self.kind


@dataclass(frozen=True)
class Viewing:
    """How a checkpoint's images are looked at: the steps, and how many times each image is drawn."""

    steps: tuple[Step, ...]
    draws: int = 1

    @property
    def views(self) -> int:
        """Images that the model is given of each one."""
        return template(self.steps).views * self.draws


def viewing(recipe: Recipe, views: Views | None, scale: float = 1.0) -> Viewing:
    """What becomes of a resolved recipe: its steps for evaluation, or of random views those for training.

    Args:
        views: in place of any that the recipe makes itself; None leaves these
        scale: how many times the network's own size it is given

    Raises SettingError where the training steps would call a function, or an image would be too large.
    """
    drawn = views is not None and views.kind == "random"
    if drawn and (called := functions(recipe.train)):
        raise SettingError(
            f"--views {views}: the checkpoint's training recipe calls {called[0].function}, and code that a "
            "checkpoint names is not run; take other views"
        )
    steps = enlarged(recipe.train if drawn else recipe.eval, scale)
    _check_large(steps, f"--scales {scale:g}")
    if views is None:
        return Viewing(steps)
    if drawn:
        return Viewing(steps, views.number)
    made = _made(in_middle(steps), views)
    _check_large(made, f"--views {views}")
    try:
        check(made, f"--views {views}")
    except RecipeError as error:
        raise SettingError(str(error.args[0])) from None
    return Viewing(made)


def _check_large(steps: tuple[Step, ...], option: str) -> None:
    for size in sizes_along(steps):
        if same_size(size) and size.max() > LARGEST:
            height, width = size[0].tolist()
            raise SettingError(f"{option}: images of {height}×{width} are too large; ask for less")


def _made(steps: tuple[Step, ...], views: Views) -> tuple[Step, ...]:
    if views.kind == "flip":
        return (*steps[:-1], FlipViews(), steps[-1])
    if views.kind == "tiles":
        return tiled(steps, views.number)
    return larger(steps, FiveCrop(output(steps)) if views.kind == "five_crop" else TenCrop(output(steps)))


def read_scales(values: Sequence[Any]) -> tuple[float, ...]:
    """Sizes of the network's input, each in times its own. Raises SettingError for numbers out of range."""
    least, most = SCALES
    scales = tuple(float(value) for value in values)
    for scale in scales:
        if not least <= scale <= most:
            raise SettingError(f"--scales {scale:g}: give numbers from {least:g} to {most:g}, 1 for its own")
    if not scales or len(set(scales)) < len(scales):
        raise SettingError("--scales: give each number once, for example 0.75,1,1.25")
    return scales


def parsed(text: str | None) -> Views | None:
    """As Views.parsed, where any are asked for."""
    return None if text is None else Views.parsed(text)


def check_loader(views: Views | None, loader: str) -> None:
    """Raise SettingError where a loader does not give these views of images."""
    if views is not None and loader == "torchvision":
        raise SettingError(f"--views {views}: --loader torchvision makes no views; take cpu or dali")


def manner(views: Views | None, pool: Pool, scales: tuple[float, ...]) -> str:
    """How scores are made other than by one look at each image, as options; empty where they are not."""
    words = [] if views is None else [f"--views {views}"]
    words += [] if pool == POOL else [f"--pool {pool}"]
    words += [] if scales == (1.0,) else [f"--scales {','.join(f'{scale:g}' for scale in scales)}"]
    return " ".join(words)

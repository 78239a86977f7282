"""The steps of a recipe that decide how large its images are, made to give larger ones: pure functions.

Steps are resolved, end with normalize, and bring all images to one size; what is changed still does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastffdi.recipe.lowering import output_size, same_size, sizes_along, template
from fastffdi.recipe.steps.base import Step
from fastffdi.recipe.steps.geometry import CenterCrop, Pad, RandomCrop
from fastffdi.recipe.steps.resizing import RandomResizedCrop, ResizeStep
from fastffdi.recipe.steps.views import FiveCrop, FlipViews, TenCrop, Tiles

Size = tuple[int, int]

#: Crops are cut out of images that are so much larger than they, as 224 pixels are out of 256.
MARGIN = 8 / 7

#: Sides of the network's input, other than its own, are multiples of this: most networks halve them 5 times.
MULTIPLE = 32

_SIZED = (ResizeStep, CenterCrop, RandomCrop, RandomResizedCrop, FiveCrop, TenCrop, Tiles)
_SIZING = (ResizeStep, CenterCrop, RandomCrop, RandomResizedCrop, Pad)


def output(steps: tuple[Step, ...]) -> Size:
    """Height and width of what the network is given."""
    return output_size(template(steps))


def enlarged(steps: tuple[Step, ...], scale: float) -> tuple[Step, ...]:
    """The steps with all their sizes `scale` times as large; the last one in multiples of 32 pixels."""
    if scale == 1:
        return steps
    own = output(steps)
    height, width = (max(1, int(scale * side / MULTIPLE + 0.5)) * MULTIPLE for side in own)
    size, factors = (height, width), (height / own[0], width / own[1])
    changed = tuple(_times(step, factors) for step in steps)
    try:
        fits = output(changed) == size
    except ValueError:  # a crop within another step, that has not grown with what it is cut out of
        fits = False
    return changed if fits else _before_the_last(steps, ResizeStep(size))


def in_middle(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps with one view of an image: of crops the middle, and of tiles all that they cover."""
    single: list[Step] = []
    for step in steps:
        if isinstance(step, FiveCrop | TenCrop):
            single.append(CenterCrop(step.size))
        elif isinstance(step, Tiles):
            single.append(ResizeStep(step.size))
        elif not isinstance(step, FlipViews):
            single.append(step)
    return tuple(single)


def larger(steps: tuple[Step, ...], crops: Step) -> tuple[Step, ...]:
    """The steps with `crops`, of the size that they give, out of images somewhat larger than that.

    A resize before a center_crop stays, and the crops are cut out of the middle square of what it gives;
    another resize gives `MARGIN` times as much, and so does center_crop where nothing is resized. Whatever
    else a recipe ends its sizing with, its images are resized once more.
    """
    size, place = output(steps), _sizer(steps)
    before, sizer, after = steps[:place], steps[place], steps[place + 1 :]
    if isinstance(sizer, ResizeStep):
        return (*before, replace(sizer, size=_grown(size)), crops, *after)
    if not isinstance(sizer, CenterCrop):
        return (*before, sizer, ResizeStep(_grown(size)), crops, *after)
    given = [*sizes_along(steps)][place]
    if same_size(given):
        roomy = bool((given[0] >= size).all() and (given[0] > size).any())
        middle = [] if roomy else [sizer, ResizeStep(_grown(size))]
        return (*before, *middle, crops, *after)
    short = _short_side(before)
    if short is not None and short > max(size):
        return (*before, CenterCrop((short, short)), crops, *after)
    grown = (_times(step, (MARGIN, MARGIN)) if isinstance(step, ResizeStep) else step for step in before)
    return (*grown, CenterCrop(_grown(size)), crops, *after)


def tiled(steps: tuple[Step, ...], grid: int) -> tuple[Step, ...]:
    """The steps with grid × grid tiles, of the size that they give, of the whole image.

    It is resized to what the tiles make together, whatever its shape; nothing else resizes or cuts.
    """
    size, place = output(steps), _sizer(steps)
    resizes = [step for step in steps if isinstance(step, ResizeStep | RandomResizedCrop)]
    how = resizes[-1].interpolation if resizes else "bilinear"
    whole = ResizeStep((size[0] * grid, size[1] * grid), how)
    before = (step for step in steps[:place] if not isinstance(step, _SIZING))
    sizer = [] if isinstance(steps[place], _SIZING) else [steps[place]]
    after = (step for step in steps[place + 1 :] if not isinstance(step, _SIZING))
    return (*before, *sizer, whole, Tiles(size, grid), *after)


def _sizer(steps: tuple[Step, ...]) -> int:
    """The place of the last step that changes the size of images."""
    sizes = [*sizes_along(steps)]
    return max(k for k in range(len(steps)) if not np.array_equal(sizes[k], sizes[k + 1]))


def _short_side(steps: tuple[Step, ...]) -> int | None:
    """What the last resize makes of the shorter side, where there is one and it keeps the aspect."""
    resizes = [step.size for step in steps if isinstance(step, ResizeStep)]
    return resizes[-1] if resizes and isinstance(resizes[-1], int) else None


def _grown(size: Size) -> Size:
    return round(size[0] * MARGIN), round(size[1] * MARGIN)


def _times(step: Step, factors: tuple[float, float]) -> Step:
    """The step with sizes so many times as high and wide; a length along either axis by the larger factor."""
    if isinstance(step, Pad):
        (down, across), (left, top, right, bottom) = factors, step.padding
        wide, high = (round(left * across), round(right * across)), (round(top * down), round(bottom * down))
        return replace(step, padding=(wide[0], high[0], wide[1], high[1]))
    if not isinstance(step, _SIZED):
        return step
    changed: dict[str, Any] = {"size": _scaled(step.size, factors)}
    if isinstance(step, ResizeStep) and step.max_size is not None:
        changed["max_size"] = _scaled(step.max_size, factors)
    return replace(step, **changed)


def _scaled(size: Any, factors: tuple[float, float]) -> Any:
    if isinstance(size, int):
        return max(1, round(size * max(factors)))
    if isinstance(size, tuple):
        return tuple(max(1, round(side * factor)) for side, factor in zip(size, factors, strict=True))
    return size  # null, of a resize with max_size alone


def _before_the_last(steps: tuple[Step, ...], step: Step) -> tuple[Step, ...]:
    return (*steps[:-1], step, steps[-1])

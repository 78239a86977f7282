"""Writes pipelines/README.md: which recipes ship, what steps come down to, and who renders it.

Called by `make tables`; a test compares the file with what this gives.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from fastffdi.recipe import catalogue, kernels
from fastffdi.recipe.kernels import Kernel
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step
from fastffdi.recipe.steps.combine import Combined
from fastffdi.render import dali
from fastffdi.render.cpu import renderer as cpu
from fastffdi.render.device import stage as device

PADDING = ("constant", "edge", "reflect", "symmetric")
README = Path(__file__).parent.parent / "pipelines" / "README.md"

TEXT = """# Recipes

Made by `make tables`, from the recipes and the code. `fastffdi pipelines` lists steps with their parameters,
`fastffdi preview --pipeline NAME` shows what a recipe does to images.

{recipes}

## Steps and their kernels

A step is lowered to kernels, and only kernels are rendered. torchvision's names do as well, as they are or in
snake case: `RandomHorizontalFlip` or `random_horizontal_flip` for `horizontal_flip`.

{steps}

## Where steps differ from torchvision's

Steps take the parameters of their classes in `torchvision.transforms.v2`, in all forms and with the same
defaults, except:

{differences}

`fill` is one pixel value or three, without torchvision's mapping by type. Numbers are limited:
{limits}.
What differs in pixel values is in [parity.md](../docs/parity.md).

No step: {absent}.

## Kernels and their renderers

Before all images have one size, the loader must render a kernel itself; after that, what it does not render
is the DeviceStage's, in torch, on the GPU if there is one.

{kernels}
"""


#: By step and parameter, what is so here; what has one value is read from the steps.
DIFFERENCES = {
    ("resize", "interpolation"): "bilinear or bicubic",
    ("random_resized_crop", "interpolation"): "bilinear or bicubic",
    ("random_rotation", "interpolation"): "nearest or bilinear, which is the default",
    ("random_affine", "interpolation"): "nearest or bilinear, which is the default",
    ("random_perspective", "interpolation"): "nearest or bilinear",
    ("random_erasing", "value"): "one pixel value or three, filled in before normalize; not random",
    ("auto_augment", "interpolation"): "nearest or bilinear",
    ("rand_augment", "interpolation"): "nearest or bilinear",
    ("trivial_augment_wide", "interpolation"): "nearest or bilinear",
    ("aug_mix", "interpolation"): "nearest or bilinear",
    ("random_order", "transforms"): "at most 4 steps, since every step is prepared in every place",
    ("normalize", "mean"): "also a word; backbone, the model's own, is the default",
    ("normalize", "std"): "also a word; backbone, the model's own, is the default",
}
LIMITS = (
    "30000 pixels a side, kernels of 255, factors of 100, 360°, and a blur's sigma from 0.01 to 100 pixels"
)
ABSENT = (
    "ElasticTransform", "LinearTransformation", "RandomChannelPermutation", "RandomPhotometricDistort",
    "RandomResize", "RandomShortestSize", "RandomZoomOut", "ScaleJitter",
)  # fmt: skip


def page() -> str:
    """The whole file."""
    return TEXT.format(
        recipes=_table(("recipe", "when to use it"), _recipes()),
        steps=_table(("step", "kernels", "what it does", "in torchvision"), _steps()),
        differences=_table(("step", "parameter", "here"), _differences()),
        limits=LIMITS,
        absent=", ".join(f"`{name}`" for name in ABSENT),
        kernels=_table(("kernel", "what it does", "`cpu`", "`dali`", "DeviceStage"), _kernels()),
    )


def _recipes() -> Iterable[Sequence[str]]:
    return [(f"[`{name}`]({name}.yaml)", use) for name, use in catalogue.recipes().items()]


def _steps() -> Iterable[Sequence[str]]:
    for entry in catalogue.steps():
        kernels_of = _kernels_of(STEPS[entry.name])
        yield f"`{entry.name}`", kernels_of, entry.meaning, entry.torchvision or "–"


def _differences() -> Iterable[Sequence[str]]:
    for step, kind in STEPS.items():
        only = {one.name: f"only {json.dumps(one.value)}: {one.why}" for one in kind.only}
        listed = {name: text for (owner, name), text in DIFFERENCES.items() if owner == step}
        for name, text in {**listed, **only}.items():
            yield f"`{step}`", f"`{name}`", text


def _kernels_of(step: type[Step]) -> str:
    """Each kind once, in order; where it depends on parameters, as the defaults have it."""
    if issubclass(step, Combined):
        return "those of the steps inside"
    declared = step.kernels if isinstance(step.kernels, tuple) else step.read({}).kernels
    return ", ".join(dict.fromkeys(kind.__name__ for kind in declared))


def _kernels() -> Iterable[Sequence[str]]:
    # In no table: the DeviceStage renders a Blend by its branches, and normalises at the end.
    on_device = {*device.KERNELS, kernels.Blend, kernels.Normalize}
    for kind in _kinds():
        by_cpu, by_device = ("yes" if kind in known else "–" for known in (cpu.KERNELS, on_device))
        yield kind.__name__, (kind.__doc__ or "").partition("\n")[0], by_cpu, _by_dali(kind), by_device


def _by_dali(kind: type[Kernel]) -> str:
    if kind is kernels.Warp:
        colour = kernels.Warp(np.eye(3)[None], fill=(0, 1, 2))
        return "yes" if dali.can_render(colour) else "fill: one for all channels"
    if kind is not kernels.Window:
        return "yes" if kind in dali.KERNELS else "–"
    inside = np.zeros((1, 2), np.int32)
    modes = [mode for mode in PADDING if dali.can_render(kernels.Window(inside, inside, mode=mode))]
    return "yes" if len(modes) == len(PADDING) else f"padding: {', '.join(modes)}"


def _kinds() -> list[type[Kernel]]:
    """All kernels, in the order of their module."""
    found = [kind for kind in vars(kernels).values() if isinstance(kind, type) and issubclass(kind, Kernel)]
    return [kind for kind in found if kind is not Kernel and dataclasses.is_dataclass(kind)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Usage: tables.py [OUTPUT.md]"""
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else README
    output.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()

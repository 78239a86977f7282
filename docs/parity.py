"""Writes docs/parity.md: how far each renderer is from torchvision, step by step. Called by `make parity`.

The cases, and what each of them is in torchvision, are those of the tests.
"""

# ruff: noqa: E402 - tests/ has to be on the path before its modules are imported

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from parity import Sample, dali_renders, differences, expected, render_cpu, render_dali, render_device
from parity_cases import AROUND_ONE, CASES, HUE, Case
from test_parity import JITTERS

from fastffdi.bench import machine
from fastffdi.data.formats import EXTENSIONS
from fastffdi.demo.dataset import demo_folder
from fastffdi.recipe.kernels import Resize
from fastffdi.recipe.steps import ColorJitter
from fastffdi.recipe.steps.base import Step
from fastffdi.render.cpu.decode import Region, decode_path
from fastffdi.render.cpu.geometry import resize

COUNT = 20
#: Pixels a side that the images of reduced size are resized to.
TARGET = 256
#: Height and width in pixels: at most, to save time; and at least, which is what the DeviceStage is given.
LARGEST, LEAST = (320, 360), (160, 160)

TEXT = """# Parity with torchvision

Made by `make parity`. Each step alone, from the same uint8 images, with the same random parameters,
against torchvision's own function (`transforms.v2.functional`) with those parameters: mean / greatest
difference in pixel values (of 255). {images}

* **dali**: the graph of the `dali` loader, on the CPU. A dash: not DALI's; the DeviceStage renders it.
* **cpu**: the `cpu` loader's renderer.
* **device**: the DeviceStage, run on the CPU; nothing here was computed by a GPU.

{steps}

{own}

## Where the meaning of a step differs

`color_jitter` is one linear transform per image. Its parts, by the `cpu` renderer, against torchvision's,
with the factors 1 ± 0.5 and hue ± 0.3:

{jitter}

## Decoding at a reduced size

`decode: {{scaled: true}}` lets the `cpu` loader decode a JPEG at 1/2, 1/4 or 1/8 where that is still as large
as the resize asks. {large} against the same resize to {target} × {target} of the image decoded whole:

{scaled}

## Not in the table

* Chains: along up to five bilinear warps, flips, colour jitters and blurs after a resize, all renderers stay
  within 1 of each other on average (`tests/test_random_recipes.py`). Along other chains a difference
  of 1 can grow to any size: a threshold, a nearest pixel or an equalisation makes it so.
* `auto_augment`, `rand_augment`, `trivial_augment_wide`, `aug_mix`: their operations are compared one by one
  with torchvision's in `tests/recipe/`, and so are their random choices.
* `flip_views` and `tiles`, which torchvision has not, copy pixels as `horizontal_flip` and `five_crop` do.
* `random_apply`, `random_choice`, `random_order` use the kernels of the steps inside; `python` is your own
  function.

{setting}
"""

#: Steps whose reference is not torchvision's function, marked in the table.
OWN = {
    "color_jitter": "against its own matrix in double precision; against torchvision's see below.",
    "gaussian_noise": "against its own hash in Python's integers; torchvision draws other numbers.",
}


def main() -> None:
    """Usage: parity.py [OUTPUT.md]"""
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "parity.md"
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="torchvision")
    images, described = photos()
    paths, large = large_images()
    text = TEXT.format(
        images=described,
        steps=table(("step", "dali", "cpu", "device"), steps_rows(images)),
        own="\n".join(f"* `{name}` is {what}" for name, what in OWN.items()),
        jitter=table(("part", "mean", "greatest"), jitter_rows(images)),
        large=large,
        target=TARGET,
        scaled=table(("decoded at", "images", "mean", "mean of the worst", "greatest"), scaled_rows(paths)),
        setting=setting(),
    )
    output.write_text(text, encoding="utf-8")


def photos() -> tuple[list[Sample], str]:
    """The first 20 images that are large enough, and a sentence about them."""
    named = os.environ.get("FASTFFDI_TEST_DATA")
    folder = Path(named) / "photos" if named else demo_folder() / "trainset"
    images: list[Sample] = []
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS):
        image = decode_path(str(path))
        if image.shape[0] >= LEAST[0] and image.shape[1] >= LEAST[1]:
            images.append(np.ascontiguousarray(image[: LARGEST[0], : LARGEST[1]]))
        if len(images) == COUNT:
            break
    generated = "generated images of the demo set, since `FASTFFDI_TEST_DATA` names no photographs"
    kind = "photographs" if named else generated
    return images, f"On {len(images)} {kind}, cut to at most {LARGEST[0]} × {LARGEST[1]} pixels."


def large_images() -> tuple[list[Path], str]:
    """Images much larger than TARGET, and words for them."""
    named = os.environ.get("FASTFFDI_TEST_DATA")
    folder, kind = (
        (Path(named) / "large", "camera images")
        if named
        else (demo_folder() / "trainset", "generated images of the demo set")
    )
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS)[:COUNT]
    return paths, f"{len(paths)} {kind}"


def scaled_rows(paths: list[Path]) -> list[tuple[str, ...]]:
    """Differences by how far an image could be reduced."""
    whole = Region(1, 1, TARGET, TARGET)
    step = Resize(np.array([[0, 0, 1, 1]], np.float32), np.array([[TARGET, TARGET]], np.int32))
    found: dict[int, list[tuple[float, int]]] = {}
    for path in map(str, paths):
        image = decode_path(path)
        small, large = (resize(x, step, 0).astype(int) for x in (decode_path(path, whole), image))
        errors = np.abs(small - large)
        found.setdefault(whole.reduction(*image.shape[:2]), []).append(
            (float(errors.mean()), int(errors.max()))
        )
    return [
        (
            f"1/{factor}" if factor > 1 else "full size",
            str(len(some)),
            shown(float(np.mean([mean for mean, _ in some]))),
            shown(max(mean for mean, _ in some)),
            str(max(most for _, most in some)),
        )
        for factor, some in sorted(found.items())
    ]


def steps_rows(images: list[Sample]) -> list[tuple[str, ...]]:
    cut = [np.ascontiguousarray(image[: LEAST[0], : LEAST[1]]) for image in images]
    return [
        (
            f"{name} (see below)" if name in OWN else name,
            difference(case, images, by_dali) if dali_renders(case) else "–",
            difference(case, images, render_cpu),
            difference(case, cut, render_device),
        )
        for name, case in CASES.items()
    ]


def by_dali(images: list[Sample], step: Step) -> list[Sample]:
    with tempfile.TemporaryDirectory() as folder:
        return render_dali(images, step, Path(folder))


def difference(case: Case, images: list[Sample], render: Callable[[list[Sample], Step], list[Sample]]) -> str:
    mean, most = measured(case, images, render)
    return f"{shown(mean)} / {most}"


def measured(
    case: Case, images: list[Sample], render: Callable[[list[Sample], Step], list[Sample]]
) -> tuple[float, int]:
    found = differences(render(images, case.step), expected(case, images))
    return float(np.mean([mean for mean, _ in found])), max(most for _, most in found)


def shown(mean: float) -> str:
    """Three decimals; 0 only where nothing differs."""
    return "0" if mean == 0 else "<0.001" if mean < 0.001 else f"{mean:.3f}"


def jitter_rows(images: list[Sample]) -> list[tuple[str, ...]]:
    whole = ColorJitter(AROUND_ONE, AROUND_ONE, AROUND_ONE, HUE)
    rows = []
    for part, (reference, _) in JITTERS.items():
        step = replace(ColorJitter(), **{part: getattr(whole, part)})
        case = Case(step, lambda x, kernel, i, u, reference=reference: reference(x, u), 0)
        mean, most = measured(case, images, render_cpu)
        rows.append((part, shown(mean), str(most)))
    return rows


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def setting() -> str:
    """What the figures hang on."""
    found = machine.versions()
    names = ("torch", "torchvision", "opencv", "simplejpeg", "pillow", "dali")
    packages = ", ".join(f"{name} {found[name]}" for name in names)
    return f"With {packages}; {machine.cpu_model()}; {date.today()}."


if __name__ == "__main__":
    main()

"""Every step, by every renderer, against torchvision's own function with the same parameters."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from nvidia.dali import Pipeline, fn
from PIL import Image
from torchvision.transforms import InterpolationMode

from fastffdi.recipe.kernels import Normalize, Program
from fastffdi.recipe.lowering import lower, outline
from fastffdi.recipe.plan import Plan
from fastffdi.recipe.steps import (
    STEPS,
    CenterCrop,
    ColorJitter,
    HorizontalFlip,
    RandomCrop,
    RandomResizedCrop,
    RandomRotation,
    ResizeStep,
    Step,
    VerticalFlip,
)
from fastffdi.recipe.steps.base import Range
from fastffdi.render import cpu, dali, device

Picture = np.ndarray  # (H, W, 3) uint8
#: reference(picture (3, H, W) uint8, the lowered kernel, which picture, its numbers): (3, h, w) uint8
Reference = Callable[[torch.Tensor, Any, int, np.ndarray], torch.Tensor]

PLAN = Plan(3)
TURN, AROUND_ONE, HUE = Range(-45, 45), Range(0.5, 1.5), Range(-0.3, 0.3)


@dataclass(frozen=True)
class Case:
    """A step, what it is in torchvision, and how far off a picture may be: on average, and anywhere."""

    step: Step
    reference: Reference
    mean: float
    most: int = 255


def resized(*size: int) -> Reference:
    return lambda x, kernel, i, u: tv.resize(x, list(size), antialias=True)


def resized_crop(x: torch.Tensor, kernel: Any, i: int, u: np.ndarray) -> torch.Tensor:
    height, width = x.shape[1:]
    top, left, bottom, right = np.rint(kernel.roi[i] * [height, width, height, width]).astype(int).tolist()
    return tv.resized_crop(x, top, left, bottom - top, right - left, [160, 160], antialias=True)


def padded_crop(x: torch.Tensor, kernel: Any, i: int, u: np.ndarray) -> torch.Tensor:
    below, right = max(300 - x.shape[1], 0), max(240 - x.shape[2], 0)
    top, left = (kernel.start[i] + [below, right]).tolist()
    return tv.crop(tv.pad(x, [right, below], fill=7), top, left, 300, 240)


def rotated(mode: str) -> Reference:
    return lambda x, kernel, i, u: tv.rotate(x, float(TURN.at(u[0])), InterpolationMode(mode))


def transformed(x: torch.Tensor, kernel: Any, i: int, u: np.ndarray) -> torch.Tensor:
    matrix = torch.from_numpy(kernel.matrix[i].astype(np.float64))
    out = torch.einsum("ij,jhw->ihw", matrix[:, :3], x.double()) + matrix[:, 3, None, None]
    return out.round().clamp(0, 255).to(torch.uint8)


CASES = {
    "resize smaller": Case(ResizeStep((128, 150)), resized(128, 150), 0.3),
    "resize larger": Case(ResizeStep((410, 460)), resized(410, 460), 0.3),
    "resize the shorter side": Case(ResizeStep(150), resized(150), 0.3),
    "center_crop": Case(CenterCrop((181, 260)), lambda x, *_: tv.center_crop(x, [181, 260]), 0),
    "random_crop": Case(
        RandomCrop((150, 99)), lambda x, kernel, i, u: tv.crop(x, *kernel.start[i].tolist(), 150, 99), 0
    ),
    "random_crop padded": Case(RandomCrop((300, 240), pad_if_needed=True, fill=7), padded_crop, 0),
    "random_resized_crop": Case(RandomResizedCrop((160, 160)), resized_crop, 0.3),
    "horizontal_flip": Case(
        HorizontalFlip(), lambda x, kernel, i, u: tv.horizontal_flip(x) if kernel.horizontal[i] else x, 0
    ),
    "vertical_flip": Case(
        VerticalFlip(), lambda x, kernel, i, u: tv.vertical_flip(x) if kernel.vertical[i] else x, 0
    ),
    "random_rotation": Case(RandomRotation(TURN), rotated("bilinear"), 0.05, 1),
    "random_rotation to the nearest": Case(RandomRotation(TURN, "nearest"), rotated("nearest"), 0.1),
    # Deliberately not torchvision's: the reference is the step's own matrix in double precision.
    "color_jitter": Case(ColorJitter(AROUND_ONE, AROUND_ONE, AROUND_ONE, HUE), transformed, 0.3, 1),
}

#: How far color_jitter's parts are from torchvision's, on average: about 0 only where both mean the same.
JITTERS = {
    "brightness": (lambda x, u: tv.adjust_brightness(x, AROUND_ONE.at(u[0])), 0.7),
    "contrast": (lambda x, u: tv.adjust_contrast(x, AROUND_ONE.at(u[1])), 10),
    "saturation": (lambda x, u: tv.adjust_saturation(x, AROUND_ONE.at(u[2])), 0.9),
    "hue": (lambda x, u: tv.adjust_hue(x, HUE.at(u[3])), 40),
}


@pytest.fixture(scope="module", params=["painted", "photos"])
def images(request: pytest.FixtureRequest) -> list[Picture]:
    if request.param == "photos":
        photos = sorted((request.getfixturevalue("test_data") / "photos").iterdir())[:20]
        # Cut to what painted pictures measure, which halves the time.
        return [np.array(np.asarray(Image.open(path).convert("RGB"))[:320, :360]) for path in photos]
    paint, rng = request.getfixturevalue("paint"), np.random.default_rng(1)
    return [textured(paint(height, width, k), rng) for k, (height, width) in enumerate(SIZES)]


SIZES = ((201, 301), (333, 215), (256, 256), (400, 203), (299, 377), (240, 320), (211, 211), (351, 277))


def textured(picture: Picture, rng: np.random.Generator) -> Picture:
    grain = rng.normal(0, 12, (*picture.shape[:2], 1))
    return np.asarray((picture + grain).clip(0, 255).astype(np.uint8))


@pytest.fixture
def by_dali(tmp_path: Path) -> Callable[[list[Picture], Program, Program], list[Picture]]:
    return lambda images, program, fixed: render_dali(images, program, fixed, tmp_path)


def render_dali(images: list[Picture], program: Program, fixed: Program, folder: Path) -> list[Picture]:
    """Through the loader's own graph, from lossless files."""
    paths = [str(folder / f"{k}.png") for k in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path, compress_level=1)
    pipeline = Pipeline(batch_size=len(images), num_threads=2, device_id=None)
    with pipeline:
        arrays = dali.path_matrix(paths), *dali.arguments(program, fixed, 1)
        pipeline.set_outputs(dali.graph(fixed, 1, "cpu", lambda: arrays))
    (out,) = pipeline.run()
    assert out.layout() == "HWC"
    return [np.array(out.at(i)) for i in range(len(images))]


def render_cpu(images: list[Picture], program: Program) -> list[Picture]:
    return [cpu.render(image, program, i) for i, image in enumerate(images)]


def render_device(images: list[Picture], program: Program) -> list[Picture]:
    (kernel,) = program.kernels
    (parameters,) = device.upload([kernel], torch.device("cpu"))
    batch = torch.from_numpy(np.stack(images))
    return list(device.KERNELS[type(kernel)](batch, kernel, parameters).numpy())


def lowered(step: Step, images: list[Picture]) -> tuple[Program, np.ndarray]:
    """The step's program for the pictures, and the numbers it was made from."""
    rows, repeats = np.arange(len(images)), np.zeros(len(images), np.int64)
    sizes = np.array([image.shape[:2] for image in images], np.int32)
    program = lower([step], PLAN, 0, rows, repeats, sizes)
    return program, PLAN.uniform(0, rows, repeats, 0, step.draws)


def expected(case: Case, images: list[Picture]) -> list[Picture]:
    program, u = lowered(case.step, images)
    tensors = [torch.from_numpy(image).permute(2, 0, 1) for image in images]
    out = [case.reference(x, program.kernels[0], i, u[i]) for i, x in enumerate(tensors)]
    return [x.permute(1, 2, 0).numpy() for x in out]


def assert_close(ours: list[Picture], theirs: list[Picture], case: Case) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        difference = np.abs(a.astype(int) - b)
        assert difference.mean() <= case.mean
        assert difference.max() <= case.most


def test_every_step_has_a_case() -> None:
    assert {case.step.name() for case in CASES.values()} | {"normalize"} == set(STEPS)


@pytest.mark.parametrize("name", CASES)
def test_cpu_renders_what_torchvision_does(name: str, images: list[Picture]) -> None:
    case = CASES[name]
    program, _ = lowered(case.step, images)
    assert_close(render_cpu(images, program), expected(case, images), case)


@pytest.mark.parametrize("name", CASES)
def test_dali_renders_what_torchvision_and_cpu_do(name: str, images: list[Picture], by_dali: Any) -> None:
    case = CASES[name]
    program, _ = lowered(case.step, images)
    ours = by_dali(images, program, outline([case.step]))
    assert_close(ours, expected(case, images), case)
    assert_close(ours, render_cpu(images, program), case)


@pytest.mark.parametrize("name", CASES)
def test_the_device_stage_renders_what_torchvision_and_cpu_do(name: str, images: list[Picture]) -> None:
    case = CASES[name]
    images = [np.ascontiguousarray(image[:163, :157]) for image in images if min(image.shape[:2]) >= 163]
    program, _ = lowered(case.step, images)
    ours = render_device(images, program)
    assert_close(ours, expected(case, images), case)
    assert_close(ours, render_cpu(images, program), case)


@pytest.mark.parametrize("part", JITTERS)
def test_color_jitter_differs_from_torchvision_as_much_as_is_said(part: str, images: list[Picture]) -> None:
    reference, limit = JITTERS[part]
    whole = ColorJitter(AROUND_ONE, AROUND_ONE, AROUND_ONE, HUE)
    step = replace(ColorJitter(), **{part: getattr(whole, part)})
    program, _ = lowered(step, images)
    theirs = expected(Case(step, lambda x, kernel, i, u: reference(x, u), 0), images)
    ours = render_cpu(images, program)
    assert np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(ours, theirs, strict=True)]) <= limit


def test_color_jitter_is_dalis_color_twist(images: list[Picture], by_dali: Any) -> None:
    case = CASES["color_jitter"]
    program, u = lowered(case.step, images)
    theirs = color_twist(images, u)
    assert_close(render_cpu(images, program), theirs, case)
    assert_close(by_dali(images, program, outline([case.step])), theirs, case)


def color_twist(images: list[Picture], u: np.ndarray) -> list[Picture]:
    factors = [AROUND_ONE.at(u[:, k]) for k in range(3)]
    arrays = [array.astype(np.float32) for array in (*factors, 360 * HUE.at(u[:, 3]))]
    pipeline = Pipeline(batch_size=len(images), num_threads=2, device_id=None)
    with pipeline:
        x = fn.external_source(lambda: images, batch=True, layout="HWC")
        names = ("brightness", "contrast", "saturation", "hue")
        nodes = fn.external_source(lambda: arrays, num_outputs=4, batch=True)
        pipeline.set_outputs(fn.color_twist(x, **dict(zip(names, nodes, strict=True))))
    (out,) = pipeline.run()
    return [np.array(out.at(i)) for i in range(len(images))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_normalize_is_torchvisions(images: list[Picture], dtype: torch.dtype) -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    batch = torch.from_numpy(np.stack([image[:150, :150] for image in images]))
    program = Program((Normalize(mean, std),))
    ours = device.DeviceStage(torch.device("cpu"), dtype)(batch, program, 0)
    theirs = tv.normalize(batch.permute(0, 3, 1, 2).float() / 255, list(mean), list(std))
    assert ours.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours.float(), theirs, atol=2e-6 if dtype == torch.float32 else 0.02, rtol=0)

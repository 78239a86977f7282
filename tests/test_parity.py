"""Every step, by every renderer, against torchvision's own function with the same parameters."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from nvidia.dali import Pipeline, fn
from parity import (
    Sample,
    dali_decodes_part,
    dali_renders,
    differences,
    expected,
    lowered,
    render_cpu,
    render_dali,
    render_device,
)
from parity_cases import AROUND_ONE, CASES, HUE, Case
from PIL import Image

from fastffdi.recipe.kernels import Normalize
from fastffdi.recipe.program import Program
from fastffdi.recipe.steps import STEPS, ColorJitter
from fastffdi.recipe.steps.base import Range
from fastffdi.render import dali
from fastffdi.render.device.stage import DeviceStage

#: The steps that a GPU renders within DALI; the others are the DeviceStage's.
BY_DALI = {
    "resize", "center_crop", "random_crop", "random_resized_crop", "pad", "horizontal_flip", "vertical_flip",
    "random_rotation", "random_affine", "random_perspective", "color_jitter", "grayscale", "random_grayscale",
}  # fmt: skip

#: Steps of many operations, each compared with torchvision's where it is tested, and those it has not.
COMPOSED = {
    "auto_augment", "rand_augment", "trivial_augment_wide", "aug_mix",
    "random_apply", "random_choice", "random_order", "python",
    "flip_views", "tiles",
}  # fmt: skip

#: color_jitter's parts: torchvision's, and by how much ours differs on average. Of photos README says so.
JITTERS = {
    "brightness": (
        lambda x, u: tv.adjust_brightness(x, AROUND_ONE.at(u[0])),
        {"photos": 0.5, "painted": 0.4},
    ),
    "contrast": (lambda x, u: tv.adjust_contrast(x, AROUND_ONE.at(u[1])), {"photos": 6, "painted": 1}),
    "saturation": (
        lambda x, u: tv.adjust_saturation(x, AROUND_ONE.at(u[2])),
        {"photos": 0.5, "painted": 0.6},
    ),
    "hue": (lambda x, u: tv.adjust_hue(x, HUE.at(u[3])), {"photos": 8, "painted": 26}),
}


@pytest.fixture(scope="module", params=["painted", "photos"])
def images(request: pytest.FixtureRequest) -> list[Sample]:
    if request.param == "photos":
        photos = sorted((request.getfixturevalue("test_data") / "photos").iterdir())[:20]
        # Cut to what painted images measure, which halves the time.
        return [np.array(np.asarray(Image.open(path).convert("RGB"))[:320, :360]) for path in photos]
    paint, rng = request.getfixturevalue("paint"), np.random.default_rng(1)
    return [textured(paint(height, width, k), rng) for k, (height, width) in enumerate(SIZES)]


SIZES = ((201, 301), (333, 215), (256, 256), (400, 203), (299, 377), (240, 320), (211, 211), (351, 277))


def textured(image: Sample, rng: np.random.Generator) -> Sample:
    grain = rng.normal(0, 12, (*image.shape[:2], 1))
    return np.asarray((image + grain).clip(0, 255).astype(np.uint8))


def assert_close(ours: list[Sample], theirs: list[Sample], case: Case) -> None:
    for mean, most in differences(ours, theirs):
        assert mean <= case.mean
        assert most <= case.most


def test_every_step_has_a_case() -> None:
    assert {case.step.name() for case in CASES.values()} == set(STEPS) - COMPOSED - {"normalize"}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_cpu_renders_what_torchvision_does(case: Case, images: list[Sample]) -> None:
    assert_close(render_cpu(images, case.step), expected(case, images), case)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if dali_renders(case)])
def test_dali_renders_what_torchvision_and_cpu_do(name: str, images: list[Sample], tmp_path: Path) -> None:
    case = CASES[name]
    ours = render_dali(images, case.step, tmp_path)
    assert_close(ours, expected(case, images), case)
    assert_close(ours, render_cpu(images, case.step), case)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if dali_decodes_part(case)])
def test_dali_renders_crops_of_whole_images_alike(
    name: str, images: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dali, "_decodes_part", lambda template, device: False)  # as on a GPU
    case = CASES[name]
    assert_close(render_dali(images, case.step, tmp_path), expected(case, images), case)


def test_dali_decodes_parts_for_crops_alone() -> None:
    names = {case.step.name() for case in CASES.values() if dali_decodes_part(case)}
    assert names == {"random_resized_crop", "center_crop", "random_crop"} & names
    assert "random_resized_crop" in names


def test_dali_renders_the_steps_named_above() -> None:
    assert {case.step.name() for case in CASES.values() if dali_renders(case)} == BY_DALI


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_device_stage_renders_what_torchvision_and_cpu_do(case: Case, images: list[Sample]) -> None:
    images = [np.ascontiguousarray(image[:163, :157]) for image in images if min(image.shape[:2]) >= 163]
    ours = render_device(images, case.step)
    assert_close(ours, expected(case, images), case)
    assert_close(ours, render_cpu(images, case.step), case)


@pytest.mark.parametrize("part", JITTERS)
def test_color_jitter_differs_from_torchvision_as_much_as_documented(
    part: str, images: list[Sample], request: pytest.FixtureRequest
) -> None:
    reference, documented = JITTERS[part]
    whole = ColorJitter(AROUND_ONE, AROUND_ONE, AROUND_ONE, HUE)
    step = replace(ColorJitter(), **{part: getattr(whole, part)})
    theirs = expected(Case(step, lambda x, kernel, i, u: reference(x, u), 0), images)
    mean = np.mean([mean for mean, _ in differences(render_cpu(images, step), theirs)])
    # As rounded there: tenths below 1, and whole pixel values above.
    limit = documented[request.node.callspec.params["images"]]
    assert abs(mean - limit) <= (0.05 if limit < 1 else 0.5)


def test_contrast_differs_from_torchvisions_by_the_distance_of_the_mean_from_mid_grey(paint) -> None:
    for image in (paint(40, 60, 1) // 2, paint(40, 60, 2) // 2 + 127):
        mean = tv.rgb_to_grayscale(torch.from_numpy(image).permute(2, 0, 1)).float().mean().item()
        one = replace(ColorJitter(), contrast=Range(0.5, 0.5))
        theirs = expected(Case(one, lambda x, kernel, i, u: tv.adjust_contrast(x, 0.5), 0), [image])
        ((found, _),) = differences(render_cpu([image], one), theirs)
        # torchvision truncates every grey and every result.
        assert abs(found - 0.5 * abs(128 - mean)) <= 1


def test_color_jitter_is_dalis_color_twist(images: list[Sample], tmp_path: Path) -> None:
    case = CASES["color_jitter"]
    theirs = color_twist(images, lowered(case.step, images)[1])
    assert_close(render_cpu(images, case.step), theirs, case)
    assert_close(render_dali(images, case.step, tmp_path), theirs, case)


def color_twist(images: list[Sample], u: np.ndarray) -> list[Sample]:
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
def test_normalize_is_torchvisions(images: list[Sample], dtype: torch.dtype) -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    x = torch.from_numpy(np.stack([image[:150, :150] for image in images]))
    program = Program.of((Normalize(mean, std),))
    ours = DeviceStage(torch.device("cpu"), dtype)(SimpleNamespace(images=x, remaining=program))
    theirs = tv.normalize(x.permute(0, 3, 1, 2).float() / 255, list(mean), list(std))
    assert ours.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours.float(), theirs, atol=2e-6 if dtype == torch.float32 else 0.02, rtol=0)

"""Steps rendered alone, from the same uint8 images, by torchvision and by each renderer.

An image is (H, W, 3) uint8. The parity tests and the parity table share this.
"""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from nvidia.dali import Pipeline
from parity_cases import Case
from PIL import Image

from fastffdi.recipe.kernels import Normalize, Views
from fastffdi.recipe.lowering import lower, template
from fastffdi.recipe.program import Program
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps.base import Step
from fastffdi.render import dali
from fastffdi.render.cpu import renderer as cpu
from fastffdi.render.device.stage import DeviceStage

Sample = np.ndarray
PLAN = CounterRNG(3)


def lowered(one: Step, images: list[Sample]) -> tuple[Program, np.ndarray]:
    """The step's program for the images, and the numbers it was made from."""
    rows, repeats = np.arange(len(images)), np.zeros(len(images), np.int64)
    sizes = np.array([image.shape[:2] for image in images], np.int32)
    program = lower([one], PLAN, 0, rows, repeats, sizes)
    return program, PLAN.uniform(0, rows, repeats, 0, one.draws.total)


def expected(case: Case, images: list[Sample]) -> list[Sample]:
    """What torchvision makes of the images: their views in a row."""
    program, u = lowered(case.step, images)
    tensors = [torch.from_numpy(image).permute(2, 0, 1) for image in images]
    made = [case.reference(x, program.kernels[0], i, u[i]) for i, x in enumerate(tensors)]
    flat = [view for one in made for view in ([one] if isinstance(one, torch.Tensor) else one)]
    return [x.permute(1, 2, 0).numpy() for x in flat]


def differences(ours: list[Sample], theirs: list[Sample]) -> list[tuple[float, int]]:
    """Mean and greatest difference in pixel values, image by image."""
    assert [image.shape for image in ours] == [image.shape for image in theirs]
    difference = [np.abs(a.astype(int) - b) for a, b in zip(ours, theirs, strict=True)]
    return [(float(image.mean()), int(image.max())) for image in difference]


def dali_renders(case: Case) -> bool:
    return all(dali.can_render(kernel) for kernel in template([case.step]).kernels)


def dali_decodes_part(case: Case) -> bool:
    """Whether DALI decodes no more of an image than the step reads, on the CPU."""
    return dali_renders(case) and dali._decodes_part(template([case.step]), "cpu")


def render_dali(images: list[Sample], one: Step, folder: Path) -> list[Sample]:
    """Through the loader's own graph, from lossless files."""
    paths = [str(folder / f"{k}.png") for k in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path, compress_level=1)
    (program, _), fixed = lowered(one, images), template([one])
    pipeline = Pipeline(batch_size=len(images), num_threads=2, device_id=None)
    with pipeline:
        arrays = dali.path_matrix(paths), *dali.arguments(program, fixed, "cpu")
        pipeline.set_outputs(dali.graph(fixed, "cpu", lambda: arrays))
    (out,) = pipeline.run()
    assert out.layout() == "HWC"
    return [np.array(out.at(i)) for i in range(len(images))]


def render_cpu(images: list[Sample], one: Step) -> list[Sample]:
    """Views, which only the DeviceStage renders, are made here by repeating images."""
    program, _ = lowered(one, images)
    rest = Program(tuple(kernel for kernel in program.kernels if not isinstance(kernel, Views)))
    each = [image for image in images for _ in range(program.views)]
    return [cpu.render(image, rest, i) for i, image in enumerate(each)]


def render_device(images: list[Sample], one: Step) -> list[Sample]:
    """The images, all of one size, through a DeviceStage whose Normalize leaves pixel values as they are."""
    program, _ = lowered(one, images)
    program = replace(program, normalize=Normalize((0, 0, 0), (1 / 255, 1 / 255, 1 / 255)))
    batch = SimpleNamespace(images=torch.from_numpy(np.stack(images)), remaining=program)
    stage = DeviceStage(torch.device("cpu"), torch.float32)
    out = stage(batch).permute(0, 2, 3, 1)
    return list(out.round().to(torch.uint8).numpy())

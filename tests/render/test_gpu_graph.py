"""The graph for a GPU, proven as far as it goes without one; see gpu_graph."""

from collections.abc import Callable

import gpu_graph
import numpy as np
import pytest
from nvidia.dali import fn, types
from nvidia.dali.data_node import DataNode

from fastffdi.recipe import recipe
from fastffdi.recipe.kernels import Program
from fastffdi.recipe.lowering import outline
from fastffdi.recipe.steps import (
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
from fastffdi.render.dali import KERNELS, graph
from fastffdi.render.split import cut

PICTURES = ("gpu", 3, types.UINT8, "HWC")
STEPS = [
    ResizeStep((256, 192)),
    ResizeStep(224),
    CenterCrop((224, 224)),
    RandomCrop((128, 128), pad_if_needed=True, fill=9),
    RandomResizedCrop((224, 224)),
    HorizontalFlip(),
    VerticalFlip(),
    RandomRotation(Range(-30, 30), "nearest", 5),
    ColorJitter(Range(0.5, 1.5)),
]


def never() -> tuple[np.ndarray, ...]:
    raise AssertionError("a graph is traced without data")


def decoded(device: str = "mixed") -> DataNode:
    paths = fn.external_source(never, batch=True, dtype=types.UINT8, ndim=1)
    return fn.decoders.image(fn.io.file.read(paths), device=device, output_type=types.RGB)


def for_gpu(program: Program, count: int, deterministic: bool = False) -> Callable[[], DataNode]:
    return lambda: graph(program, count, "gpu", never, deterministic)


@pytest.mark.parametrize("name", recipe.shipped())
@pytest.mark.parametrize("part", ["train", "eval"])
@pytest.mark.parametrize("deterministic", [False, True])
def test_the_graph_of_every_shipped_recipe_is_sound(name: str, part: str, deterministic: bool) -> None:
    resolved = recipe.load(name).resolve((224, 224), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    program = outline(getattr(resolved, part))
    count = cut(program, KERNELS, "dali")
    assert gpu_graph.check(for_gpu(program, count, deterministic)) == PICTURES


@pytest.mark.parametrize("step", STEPS, ids=repr)
def test_the_graph_of_every_step_is_sound(step: Step) -> None:
    assert gpu_graph.check(for_gpu(outline([step]), 1)) == PICTURES


def test_the_steps_need_all_kernels_between_them() -> None:
    assert {kernel for step in STEPS for kernel in step.kernels} == set(KERNELS)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: fn.resize(decoded(), sise=[8, 8]),
        lambda: fn.resize(decoded(), size="eight"),
        lambda: fn.flip(decoded(), device="cpu"),
        lambda: fn.flip(decoded("cpu"), device="gpu"),
    ],
    ids=["unknown argument", "wrong type", "GPU input to a CPU operator", "CPU input to a GPU operator"],
)
def test_tracing_finds(wrong: Callable[[], DataNode]) -> None:
    with pytest.raises((KeyError, ValueError, RuntimeError)):
        gpu_graph.traced(wrong)


def test_an_operator_that_has_no_gpu_kernel_is_found() -> None:
    pipeline = gpu_graph.traced(lambda: fn.random.beta(device="gpu"))
    assert gpu_graph.unregistered(pipeline) == ["random__Beta on gpu"]


def test_inference_tells_a_wrong_output() -> None:
    assert gpu_graph.inferred(lambda: fn.transpose(decoded(), perm=[2, 0, 1])) == (*PICTURES[:3], "CHW")
    assert gpu_graph.inferred(lambda: fn.cast(decoded(), dtype=types.FLOAT))[2] == types.FLOAT
    assert gpu_graph.inferred(lambda: fn.resize(decoded("cpu"), size=[8, 8]))[0] == "cpu"


def test_the_backend_tells_a_graph_that_stays_on_the_cpu() -> None:
    assert not gpu_graph.backend_accepts(gpu_graph.traced(lambda: decoded("cpu")))
    with pytest.raises(AssertionError):
        gpu_graph.check(lambda: decoded("cpu"))

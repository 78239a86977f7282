"""The graph for a GPU, proven as far as it goes without one; see gpu_graph."""

from collections.abc import Callable
from dataclasses import replace

import gpu_graph
import numpy as np
import pytest
from kernel_samples import SAMPLES, sample
from nvidia.dali import fn, types
from nvidia.dali.data_node import DataNode
from parity_cases import CASES

from fastffdi.recipe import recipe
from fastffdi.recipe.kernels import Kernel, Resize, Window
from fastffdi.recipe.lowering import template
from fastffdi.recipe.program import Program
from fastffdi.render.dali import KERNELS, Decoding, can_render, graph
from fastffdi.render.split import split

IMAGES = ("gpu", 3, types.UINT8, "HWC")
RENDERED = [name for name in SAMPLES if can_render(sample(name, 2))]


def never() -> tuple[np.ndarray, ...]:
    raise AssertionError("a graph is traced without data")


def decoded(device: str = "mixed") -> DataNode:
    paths = fn.external_source(never, batch=True, dtype=types.UINT8, ndim=1)
    return fn.decoders.image(fn.io.file.read(paths), device=device, output_type=types.RGB)


DEFAULT = Decoding()
ALL_GIVEN = Decoding(0.25, affine=True, jpeg_fancy_upsampling=False, size_hint=(3000, 4000))


def for_gpu(program: Program, decoding: Decoding = DEFAULT) -> Callable[[], DataNode]:
    return lambda: graph(program, "gpu", never, decoding)


@pytest.mark.parametrize("name", recipe.shipped())
@pytest.mark.parametrize("part", ["train", "eval"])
@pytest.mark.parametrize("decoding", [DEFAULT, Decoding(0.0), ALL_GIVEN])
def test_the_graph_of_every_shipped_recipe_is_sound(name: str, part: str, decoding: Decoding) -> None:
    resolved = recipe.load(name).resolve((224, 224), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    program = template(getattr(resolved, part))
    rendered = split(program, can_render, "dali").loader(program)
    assert gpu_graph.check(for_gpu(rendered, decoding)) == IMAGES


@pytest.mark.parametrize("name", RENDERED)
@pytest.mark.parametrize("sizes", ["one size", "many sizes"])
def test_the_graph_of_every_kernel_is_sound(name: str, sizes: str) -> None:
    kernel = sample(name, 2)
    if sizes == "many sizes" and isinstance(kernel, Window | Resize):
        kernel = replace(kernel, size=kernel.size + np.arange(2)[:, None])
    assert gpu_graph.check(for_gpu(Program((kernel,)))) == IMAGES


def test_all_that_dali_renders_is_among_the_samples() -> None:
    assert {type(sample(name, 2)) for name in RENDERED} == set(KERNELS)


@pytest.mark.parametrize("name", CASES)
def test_the_graph_of_every_step_is_sound_as_far_as_dali_renders_it(name: str) -> None:
    program = template([CASES[name].step])
    count = next((k for k, kernel in enumerate(program.kernels) if not can_render(kernel)), len(program))
    assert gpu_graph.check(for_gpu(program.first(count))) == IMAGES


#: What the decoder of a GPU is given unless something else is asked for.
LIKE_A_CPU = {"output_type": types.RGB, "jpeg_fancy_upsampling": True, "affine": False}


@pytest.mark.parametrize(
    ("decoding", "more"),
    [
        (DEFAULT, {}),
        (Decoding(0.0), {"hw_decoder_load": 0.0}),
        (Decoding(affine=True), {"affine": True}),
        (Decoding(jpeg_fancy_upsampling=False), {"jpeg_fancy_upsampling": False}),
        (
            Decoding(size_hint=(3000, 4000)),
            {"preallocate_height_hint": 3000, "preallocate_width_hint": 4000},
        ),
    ],
)
def test_the_decoder_of_a_gpu_decodes_as_every_cpu_decoder_unless_told_otherwise(
    decoding: Decoding, more: dict
) -> None:
    reader, decoder = gpu_graph.arguments(gpu_graph.traced(for_gpu(Program(()), decoding)))
    assert reader == ("io__file__Read", {"dont_use_mmap": True})
    assert decoder == ("decoders__Image", LIKE_A_CPU | more)


def test_on_a_cpu_files_are_read_and_decoded_so_too() -> None:
    pipeline = gpu_graph.traced(lambda: graph(Program(()), "cpu", never, ALL_GIVEN))
    assert gpu_graph.arguments(pipeline) == [
        ("io__file__Read", {"dont_use_mmap": True}),
        ("decoders__Image", {"output_type": types.RGB}),
    ]


RESIZED = {
    "size": [20, 30],
    "roi_relative": True,
    "antialias": True,
    "interp_type": types.INTERP_LINEAR,
}
LAID_OUT = {"axes": [0, 1], "out_of_bounds_policy": "pad", "fill_values": 50, "shape": [30, 44]}
BILINEAR = {"interp_type": types.INTERP_LINEAR, "fill_value": 70.0}
NEAREST = {"interp_type": types.INTERP_NN, "fill_value": 8.0}
AFFINE, TILTED = sample("warp", 2), sample("projective warp", 2)
ROUGH = {"interpolation": "nearest", "fill": 8}
GIVEN = [
    # kernel, the operator, and what that is given whatever the batch
    (sample("resize", 2), "Resize", RESIZED),
    (sample("window constant", 2), "Slice", LAID_OUT),
    (sample("flip", 2), "Flip", {}),
    (sample("matrix", 2), "CoordTransform", {"dtype": types.UINT8}),
    (AFFINE, "WarpAffine", {**BILINEAR, "inverse_map": True}),
    (replace(AFFINE, **ROUGH), "WarpAffine", {**NEAREST, "inverse_map": True}),
    (TILTED, "experimental__WarpPerspective", {**BILINEAR, "pixel_origin": "center"}),
    (replace(TILTED, **ROUGH), "experimental__WarpPerspective", {**NEAREST, "pixel_origin": "center"}),
]


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize(("kernel", "name", "given"), GIVEN, ids=[name for _, name, _ in GIVEN])
def test_an_operator_is_given_what_its_kernel_says(
    kernel: Kernel, name: str, given: dict, device: str
) -> None:
    pipeline = gpu_graph.traced(lambda: graph(Program((kernel,)), device, never))
    assert gpu_graph.arguments(pipeline)[2:] == [(name, given)]


def test_a_window_that_mirrors_is_a_slice_and_then_a_flip() -> None:
    window = replace(sample("window constant", 2), horizontal=np.ones(2, bool), vertical=np.zeros(2, bool))
    pipeline = gpu_graph.traced(for_gpu(Program((window,))))
    assert gpu_graph.arguments(pipeline)[2:] == [("Slice", LAID_OUT), ("Flip", {})]


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


def test_inference_finds_a_wrong_output() -> None:
    assert gpu_graph.inferred(lambda: fn.transpose(decoded(), perm=[2, 0, 1])) == (*IMAGES[:3], "CHW")
    assert gpu_graph.inferred(lambda: fn.cast(decoded(), dtype=types.FLOAT))[2] == types.FLOAT
    assert gpu_graph.inferred(lambda: fn.resize(decoded("cpu"), size=[8, 8]))[0] == "cpu"


def test_the_backend_finds_a_graph_that_stays_on_the_cpu() -> None:
    assert not gpu_graph.backend_accepts(gpu_graph.traced(lambda: decoded("cpu")))
    with pytest.raises(AssertionError):
        gpu_graph.check(lambda: decoded("cpu"))

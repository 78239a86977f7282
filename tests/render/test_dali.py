"""The arrays that go into a DALI graph, and the graph on the CPU; parity of single steps is elsewhere."""

import os
from pathlib import Path

import numpy as np
import pytest
from kernel_samples import SAMPLES, H, W, sample
from nvidia.dali import Pipeline
from PIL import Image

from fastffdi.data.manifest import Manifest
from fastffdi.recipe import recipe
from fastffdi.recipe.kernels import Flip, Kernel, Matrix, Resize, Views, Warp, Window
from fastffdi.recipe.lowering import lower, template
from fastffdi.recipe.program import Program
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import RandomRotation, ResizeStep, Step
from fastffdi.recipe.steps.base import Range
from fastffdi.render.cpu import renderer as cpu
from fastffdi.render.cpu.decode import decode_path
from fastffdi.render.dali import arguments, can_render, graph, path_matrix
from fastffdi.render.split import split

WHOLE = np.array([[0, 0, 1, 1]], np.float32)


def render(image_files: Manifest, steps: list[Step]) -> tuple[list[np.ndarray], Program]:
    """All images through a graph on the CPU, and the program they went through."""
    n = len(image_files)
    program = lower(steps, CounterRNG(5), 0, np.arange(n), np.zeros(n, np.int64), image_files.sizes)
    return run(image_files.paths(), program, template(steps)), program


def run(paths: list[str], program: Program, fixed: Program) -> list[np.ndarray]:
    arrays = path_matrix(paths), *arguments(program, fixed, "cpu")
    pipeline = Pipeline(batch_size=len(paths), num_threads=2, device_id=None)
    with pipeline:
        pipeline.set_outputs(graph(fixed, "cpu", lambda: arrays))
    (out,) = pipeline.run()
    return [np.array(out.at(i)) for i in range(len(paths))]


def test_the_arrays_are_contiguous_and_in_the_kernels_order() -> None:
    flip = np.array([True]), np.array([False])
    kernels = (
        Resize(WHOLE, np.array([[8, 9]], np.int32)),
        Flip(*flip),
        Matrix(np.zeros((1, 3, 4), np.float32)),
    )
    start, end, horizontal, vertical, matrix = arguments(Program(kernels), Program(kernels), "gpu")
    np.testing.assert_array_equal(start, np.float32([[0, 0]]))
    np.testing.assert_array_equal(end, np.float32([[1, 1]]))
    np.testing.assert_array_equal(np.stack([horizontal, vertical]), np.int32([[1], [0]]))
    assert matrix.shape == (1, 3, 4)
    assert all(a.flags.c_contiguous for a in (start, end, horizontal, vertical, matrix))


@pytest.mark.parametrize("kind", [Resize, Window])
def test_a_size_travels_only_where_it_varies(kind: type[Resize | Window]) -> None:
    varied = np.array([[8, 9], [7, 9]], np.int32)
    first = np.tile(WHOLE, (2, 1)) if kind is Resize else np.zeros((2, 2), np.int32)
    programs = [Program((kind(first, sizes),)) for sizes in (varied, varied[[0, 0]])]
    with_size, without = (arguments(program, program, "cpu") for program in programs)
    np.testing.assert_array_equal(with_size[-1], varied)
    assert len(without) == len(with_size) - 1


def test_a_warp_is_counted_from_the_corner() -> None:
    turn = np.array([[[0, -1, 10], [1, 0, 0], [0, 0, 1]]], np.float64)  # centre (0, 0) comes from (10, 0)
    (matrix,) = arguments(Program((Warp(turn),)), Program((Warp(turn),)), "cpu")
    np.testing.assert_array_equal(matrix[0] @ [0.5, 0.5, 1], [10.5, 0.5])


def test_a_projective_warp_is_given_whole_and_from_the_centre() -> None:
    warp = sample("projective warp", 3)
    (matrix,) = arguments(Program((warp,)), Program((warp,)), "cpu")
    np.testing.assert_array_equal(matrix, warp.arrays()["matrix"].astype(np.float32))


#: By how much a pixel value may differ from the CPU renderer's.
MOST = {"resize": 12, "bicubic resize": 24, "warp": 1, "matrix": 1}
RENDERED = (
    "window constant", "window over a colour", "resize", "bicubic resize", "flip", "warp", "projective warp",
    "matrix",
)  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_what_dali_can_render(name: str) -> None:
    assert can_render(sample(name, 2)) == (name in RENDERED)


def test_views_are_not_for_dali() -> None:
    assert not can_render(Views(5))


@pytest.mark.parametrize("name", RENDERED)
def test_kernels_come_out_as_from_the_cpu_renderer(name: str, tmp_path: Path, paint) -> None:
    kernel, images = sample(name, 4), [paint(H, W, seed) for seed in range(4)]
    theirs = [cpu.render(image, Program((kernel,)), i) for i, image in enumerate(images)]
    for ours, expected in zip(rendered(images, kernel, tmp_path), theirs, strict=True):
        difference = np.abs(ours.astype(int) - expected)
        assert ours.shape == expected.shape
        # A resize weighs the pixels beside its region otherwise, which shows in images as small as these.
        assert difference.max() <= MOST.get(name, 0)
        assert difference.mean() <= 1


def rendered(images: list[np.ndarray], kernel: Kernel, folder: Path) -> list[np.ndarray]:
    """Images by one kernel, through the loader's graph from lossless files."""
    paths = [str(folder / f"{i}.png") for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return run(paths, Program((kernel,)), Program((kernel,)))


def test_only_the_first_kernels_are_asked_for() -> None:
    program = Program((Flip(np.array([True]), np.array([True])), Resize(WHOLE, np.array([[8, 9]]))))
    assert len(arguments(program.first(1), program, "cpu")) == 2
    assert arguments(program.first(0), program, "cpu") == ()


def test_paths_are_rows_of_bytes_filled_with_nul() -> None:
    matrix = path_matrix(["/a", "/ü", os.fsdecode(b"/\xff\xfe")])
    assert matrix.dtype == np.uint8
    assert [bytes(row) for row in matrix] == [b"/a\0", b"/\xc3\xbc", b"/\xff\xfe"]


@pytest.mark.parametrize("name", recipe.shipped())
@pytest.mark.parametrize("part", ["train", "eval"])
def test_shipped_recipes_need_few_arrays(name: str, part: str) -> None:
    resolved = recipe.load(name).resolve((224, 224), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    program = template(getattr(resolved, part))
    # A crop that resizes and a policy take one more than the four that are cheap enough not to think about.
    most = 5 if name in ("randaugment", "trivial") else 4
    rendered = split(program, can_render, "dali").loader(program)
    assert 1 + len(arguments(rendered, program, "gpu")) <= most


@pytest.mark.parametrize("steps", [[ResizeStep(64)], [RandomRotation(Range(-30, 30), fill=90)]], ids=repr)
def test_images_of_many_sizes_come_out_as_from_cpu(image_files: Manifest, steps: list[Step]) -> None:
    ours, program = render(image_files, steps)
    for i, path in enumerate(image_files.paths()):
        theirs = cpu.render(decode_path(path), program, i)
        assert ours[i].shape == theirs.shape
        assert np.abs(ours[i].astype(int) - theirs).mean() < 0.3


def test_a_path_with_odd_letters_is_read(tmp_path: Path, image_files: Manifest) -> None:
    odd = tmp_path / "naïve image – 1.jpg"
    odd.write_bytes(Path(image_files.paths()[0]).read_bytes())
    names = np.array([odd.name], object)
    (ours,), _ = render(Manifest(str(tmp_path), names, sizes=image_files.sizes[:1]), [])
    np.testing.assert_array_equal(ours, decode_path(str(odd)))

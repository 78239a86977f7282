"""The DALI renderer: a program as a graph, the same function for a GPU and for a machine without one.

The parameters of a batch enter through one external source, as contiguous arrays that the operators take as
they are: an array costs some 60 µs a batch, any arithmetic on it inside the graph several times as much.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from nvidia.dali import fn, types
from nvidia.dali.data_node import DataNode

from fastffdi.recipe.kernels import Fill, Flip, Kernel, Matrix, Resize, Warp, Window
from fastffdi.recipe.program import Program

Arrays = tuple[np.ndarray, ...]

_DTYPES = {"uint8": types.UINT8, "int32": types.INT32, "float32": types.FLOAT}
_INTERPOLATION = {"nearest": types.INTERP_NN, "bilinear": types.INTERP_LINEAR, "bicubic": types.INTERP_CUBIC}
_CORNER = np.array([0.5, 0.5, 0.0])


def graph(
    template: Program, device: str, source: Callable[[], Arrays], hw_decoder_load: float | None = None
) -> DataNode:
    """The images of a batch, (N, h, w, 3) uint8 on `device`: read, decoded, and rendered.

    Args:
        template: the kernels; only what is the same for all images is read from it
        device: "cpu", or "gpu" with mixed decoding
        source: gives (path_matrix(paths), *arguments(program, template)) of the next batch
        hw_decoder_load: the GPU's hardware decoder's share of a batch, 0 to 1; None leaves it to DALI
    """
    files, *inputs = _inputs(source, (path_matrix(["/"]), *arguments(template, template)))
    images = _decoded(fn.io.file.read(files, dont_use_mmap=True), device, hw_decoder_load)
    return _rendered(images, template, inputs)


def arguments(program: Program, template: Program) -> Arrays:
    """The parameters of a batch as the operators of a program take them, each (N, …), in order.

    `template` is that of `program`, or of a longer one.
    """
    pairs = zip(program.kernels, template.kernels, strict=False)
    return tuple(
        np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else np.int32)
        for kernel, fixed in pairs
        for array in KERNELS[type(kernel)][0](kernel, fixed)
    )


def can_render(kernel: Kernel) -> bool:
    """Whether DALI renders a kernel of a template.

    `fn.slice` pads with a constant only, and the warps fill all channels alike.
    """
    match kernel:
        case Window():
            return kernel.mode == "constant"
        case Warp():
            return isinstance(kernel.fill, int)
    return type(kernel) in KERNELS


def path_matrix(paths: Iterable[str]) -> np.ndarray:
    """(N, L) uint8: a row per path, filled up with NUL, at which the file system stops reading."""
    # All in one string, since fsencode takes three times as long image by image.
    column = np.array(os.fsencode("\0".join(paths)).split(b"\0"))
    return column.view(np.uint8).reshape(len(column), -1)


def _inputs(source: Callable[[], Any], examples: Arrays) -> list[DataNode]:
    dtypes = [_DTYPES[example.dtype.name] for example in examples]
    dimensions = [example.ndim - 1 for example in examples]
    count = len(examples)
    return list(fn.external_source(source, num_outputs=count, batch=True, dtype=dtypes, ndim=dimensions))


def _decoded(files: DataNode, device: str, hw_decoder_load: float | None) -> DataNode:
    if device == "cpu":
        return fn.decoders.image(files, device="cpu", output_type=types.RGB)
    return fn.decoders.image(
        files,
        device="mixed",
        output_type=types.RGB,
        # As libjpeg-turbo does, and so every CPU decoder here.
        jpeg_fancy_upsampling=True,
        hw_decoder_load=hw_decoder_load,
    )


def _rendered(images: DataNode, template: Program, inputs: Iterable[DataNode]) -> DataNode:
    nodes = iter(inputs)
    for fixed in template.kernels:
        arrays, operator = KERNELS[type(fixed)]
        images = operator(images, fixed, *(next(nodes) for _ in arrays(fixed, fixed)))
    return images


def _resize_arrays(kernel: Resize, fixed: Resize) -> Arrays:
    ends = kernel.roi[:, :2], kernel.roi[:, 2:]
    # As an argument, size is in floating point, although whole.
    return ends if _one_size(fixed) else (*ends, kernel.size.astype(np.float32))


def _resize(images: DataNode, fixed: Resize, start: DataNode, end: DataNode, *size: DataNode) -> DataNode:
    return fn.resize(
        images,
        size=size[0] if size else fixed.size[0].tolist(),
        roi_start=start,
        roi_end=end,
        roi_relative=True,
        antialias=True,
        interp_type=_INTERPOLATION[fixed.interpolation],
    )


def _window_arrays(kernel: Window, fixed: Window) -> Arrays:
    size = () if _one_size(fixed) else (kernel.size,)
    flips = () if kernel.horizontal is None else (kernel.horizontal, kernel.vertical)
    return (kernel.start, *flips, *size)


def _window(images: DataNode, fixed: Window, start: DataNode, *more: DataNode) -> DataNode:
    flips, size = (more[:2], more[2:]) if fixed.horizontal is not None else ((), more)
    out = fn.slice(
        images,
        start=start,
        shape=size[0] if size else fixed.size[0].tolist(),
        axes=[0, 1],
        out_of_bounds_policy="pad",
        fill_values=fixed.fill,
    )
    return fn.flip(out, horizontal=flips[0], vertical=flips[1]) if flips else out


def _flip_arrays(kernel: Flip, fixed: Flip) -> Arrays:
    return kernel.horizontal, kernel.vertical


def _flip(images: DataNode, fixed: Flip, horizontal: DataNode, vertical: DataNode) -> DataNode:
    return fn.flip(images, horizontal=horizontal, vertical=vertical)


def _warp_arrays(kernel: Warp, fixed: Warp) -> Arrays:
    if fixed.projective:
        return (kernel.matrix,)
    affine = kernel.matrix[:, :2].copy()
    # DALI counts from the corner of the corner pixel, half a pixel away from its centre.
    affine[:, :, 2] += 0.5 - affine @ _CORNER
    return (affine,)


def _warp(images: DataNode, fixed: Warp, matrix: DataNode) -> DataNode:
    if fixed.projective:
        return fn.experimental.warp_perspective(
            images,
            matrix=matrix,
            pixel_origin="center",
            interp_type=_INTERPOLATION[fixed.interpolation],
            fill_value=_one_value(fixed.fill),
        )
    return fn.warp_affine(
        images,
        matrix=matrix,
        inverse_map=True,
        interp_type=_INTERPOLATION[fixed.interpolation],
        fill_value=_one_value(fixed.fill),
    )


def _one_value(fill: Fill) -> float:
    assert isinstance(fill, int), "can_render has said that it is one value"
    return float(fill)


def _matrix_arrays(kernel: Matrix, fixed: Matrix) -> Arrays:
    return (kernel.matrix,)


def _matrix(images: DataNode, fixed: Matrix, matrix: DataNode) -> DataNode:
    return fn.coord_transform(images, MT=matrix, dtype=types.UINT8)


def _one_size(fixed: Resize | Window) -> bool:
    return bool((fixed.size == fixed.size[0]).all())


#: For each kernel its arrays, given the template's kernel as well, and the operator that takes their nodes.
KERNELS: dict[type[Kernel], tuple[Callable[[Any, Any], Arrays], Callable[..., DataNode]]] = {
    Window: (_window_arrays, _window),
    Resize: (_resize_arrays, _resize),
    Flip: (_flip_arrays, _flip),
    Warp: (_warp_arrays, _warp),
    Matrix: (_matrix_arrays, _matrix),
}

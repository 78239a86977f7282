"""The DALI renderer: a program as a graph, the same function for a GPU and for a machine without one.

The parameters of a batch enter through one external source, as contiguous arrays that the operators take as
they are: an array costs some 60 µs a batch, any arithmetic on it inside the graph several times as much.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nvidia.dali import fn, types
from nvidia.dali.data_node import DataNode

from fastffdi.recipe.kernels import Fill, Flip, Kernel, Matrix, Resize, Warp, Window
from fastffdi.recipe.program import Program

Arrays = tuple[np.ndarray, ...]

#: Gives a kernel's arrays, from it and the template's; and makes a node of images, the latter, and theirs.
Operator = tuple[Callable[[Any, Any], Arrays], Callable[..., DataNode]]

_DTYPES = {"uint8": types.UINT8, "int32": types.INT32, "float32": types.FLOAT}
_INTERPOLATION = {"nearest": types.INTERP_NN, "bilinear": types.INTERP_LINEAR, "bicubic": types.INTERP_CUBIC}
_CORNER = np.array([0.5, 0.5, 0.0])


@dataclass(frozen=True)
class Decoding:
    """How a GPU decodes; DALI's decoder on a CPU takes none of it.

    Attributes:
        hw_decoder_load: the hardware decoder's share of a batch, 0 to 1; None leaves it to DALI
        affine: tie each decoding thread to a core
        jpeg_fancy_upsampling: interpolate colours as libjpeg-turbo does, and so every CPU decoder here
        size_hint: height, width: for images of this size the hardware decoder allocates memory at the start.
            A larger one is decoded too, after another allocation. None: for 1 × 1, which is DALI's default
    """

    hw_decoder_load: float | None = None
    affine: bool = False
    jpeg_fancy_upsampling: bool = True
    size_hint: tuple[int, int] | None = None


def graph(
    template: Program, device: str, source: Callable[[], Arrays], decoding: Decoding = Decoding()
) -> DataNode:
    """The images of a batch, (N, h, w, 3) uint8 on `device`: read, decoded, and rendered.

    Args:
        template: the kernels; only what is the same for all images is read from it
        device: "cpu", or "gpu" with mixed decoding
        source: gives (path_matrix(paths), *arguments(program, template)) of the next batch
        decoding: how a GPU decodes
    """
    files, *inputs = _inputs(source, (path_matrix(["/"]), *arguments(template, template, device)))
    images = fn.io.file.read(files, dont_use_mmap=True)
    if not _decodes_part(template, device):
        images = _decoded(images, device, decoding)
    nodes = iter(inputs)
    for fixed, (arrays, operator) in zip(template.kernels, _operators(template, device), strict=True):
        images = operator(images, fixed, *(next(nodes) for _ in arrays(fixed, fixed)))
    return images


def arguments(program: Program, template: Program, device: str) -> Arrays:
    """The parameters of a batch as the operators of a program take them, each (N, …), in order.

    `template` is that of `program`, or of a longer one; `device` is graph's.
    """
    triples = zip(program.kernels, template.kernels, _operators(template, device), strict=False)
    return tuple(
        np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else np.int32)
        for kernel, fixed, (arrays, _) in triples
        for array in arrays(kernel, fixed)
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


def _decoded(files: DataNode, device: str, decoding: Decoding) -> DataNode:
    if device == "cpu":
        return fn.decoders.image(files, device="cpu", output_type=types.RGB)
    height, width = decoding.size_hint or (None, None)
    return fn.decoders.image(
        files,
        device="mixed",
        output_type=types.RGB,
        hw_decoder_load=decoding.hw_decoder_load,
        affine=decoding.affine,
        jpeg_fancy_upsampling=decoding.jpeg_fancy_upsampling,
        preallocate_height_hint=height,
        preallocate_width_hint=width,
    )


def _decodes_part(template: Program, device: str) -> bool:
    """Whether the first kernel's operator takes encoded images, and decodes no more than it reads of them."""
    if device != "cpu" or not template.kernels:
        return False
    match template.kernels[0]:
        case Window(inside=inside):
            return inside
        case Resize(roi=roi):
            return not np.isin(roi, (0, 1)).all()  # a whole image has no other numbers
    return False


def _operators(template: Program, device: str) -> Iterator[Operator]:
    first = _DECODING if _decodes_part(template, device) else KERNELS
    for k, fixed in enumerate(template.kernels):
        yield (KERNELS if k else first)[type(fixed)]


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


def _part_resize_arrays(kernel: Resize, fixed: Resize) -> Arrays:
    start, end, *size = _resize_arrays(kernel, fixed)
    mirrored = start > end
    return np.minimum(start, end), np.maximum(start, end), mirrored * 1.0, 1.0 - mirrored, *size


def _part_resize(files: DataNode, fixed: Resize, start: DataNode, end: DataNode, *more: DataNode) -> DataNode:
    part = fn.decoders.image_slice(files, rel_start=start, rel_end=end, axes=[0, 1], output_type=types.RGB)
    return _resize(part, fixed, *more)


def _window_arrays(kernel: Window, fixed: Window) -> Arrays:
    size = () if _one_size(fixed) else (kernel.size,)
    flips = () if kernel.horizontal is None else (kernel.horizontal, kernel.vertical)
    return (kernel.start, *flips, *size)


def _window(images: DataNode, fixed: Window, start: DataNode, *more: DataNode) -> DataNode:
    window = fn.slice(
        images,
        start=start,
        shape=_window_shape(fixed, more),
        axes=[0, 1],
        out_of_bounds_policy="pad",
        fill_values=fixed.fill,
    )
    return _mirrored(window, fixed, more)


def _part_window(files: DataNode, fixed: Window, start: DataNode, *more: DataNode) -> DataNode:
    shape = _window_shape(fixed, more)
    part = fn.decoders.image_slice(files, start=start, shape=shape, axes=[0, 1], output_type=types.RGB)
    return _mirrored(part, fixed, more)


def _window_shape(fixed: Window, more: Sequence[DataNode]) -> DataNode | list[int]:
    """The size of the windows, which comes last of the arrays where it is not the same for all images."""
    size: list[int] = fixed.size[0].tolist()
    return size if _one_size(fixed) else more[-1]


def _mirrored(images: DataNode, fixed: Window, more: Sequence[DataNode]) -> DataNode:
    if fixed.horizontal is None:
        return images
    return fn.flip(images, horizontal=more[0], vertical=more[1])


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


KERNELS: dict[type[Kernel], Operator] = {
    Window: (_window_arrays, _window),
    Resize: (_resize_arrays, _resize),
    Flip: (_flip_arrays, _flip),
    Warp: (_warp_arrays, _warp),
    Matrix: (_matrix_arrays, _matrix),
}

#: For a program's first kernel, where its operator takes encoded images.
_DECODING: dict[type[Kernel], Operator] = {
    Window: (_window_arrays, _part_window),
    Resize: (_part_resize_arrays, _part_resize),
}

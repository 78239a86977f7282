"""Fused programs against the composition of their kernels in float64, in which nothing is rounded."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import flips, index_maps, one

from fastffdi.recipe.fusion import fuse, fuse_around, fuse_pair
from fastffdi.recipe.kernels import Flip, Kernel, Matrix, Normalize, Resize, Table, Warp, Window
from fastffdi.recipe.program import Program
from fastffdi.render.cpu import renderer
from fastffdi.render.device import stage

H, W = 40, 52
SIZE = np.array([[H, W]], np.int32)


@pytest.fixture(scope="module")
def image(paint) -> np.ndarray:
    return paint(H, W, 3)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """On images this small, more threads of torch only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def on_cpu(image: np.ndarray, kernels: tuple[Kernel, ...]) -> np.ndarray:
    return renderer.render(image, Program(kernels), 0)


def on_device(image: np.ndarray, kernels: tuple[Kernel, ...]) -> np.ndarray:
    return stage.render(torch.from_numpy(image.copy())[None], kernels)[0].numpy()


both = pytest.mark.parametrize("render", [on_cpu, on_device])
patient = settings(deadline=None)

# The composition: float64 (H, W, 3) images, kernel by kernel as they stand.


def composed(image: np.ndarray, kernels: list[Kernel]) -> np.ndarray:
    out = image.astype(float)
    while kernels:
        count = next((k for k, kernel in enumerate(kernels) if not isinstance(kernel, Warp)), len(kernels))
        # Consecutive warps are one interpolation by definition.
        out = warped(out, kernels[:count]) if count else ALONE[type(kernels[0])](out, kernels[0])
        kernels = kernels[max(count, 1) :]
    return out


def windowed(x: np.ndarray, kernel: Window) -> np.ndarray:
    (top, left), (height, width) = kernel.start[0], kernel.size[0]
    margins = ((H + W, H + W), (H + W, H + W), (0, 0))
    fill = {"constant_values": kernel.fill} if kernel.mode == "constant" else {}
    part = np.pad(x, margins, kernel.mode, **fill)[top + H + W :, left + H + W :][:height, :width]
    return part if kernel.horizontal is None else flipped(part, kernel)


def flipped(x: np.ndarray, kernel: Flip | Window) -> np.ndarray:
    return x[:: -1 if kernel.vertical[0] else 1, :: -1 if kernel.horizontal[0] else 1]


def resized(x: np.ndarray, kernel: Resize) -> np.ndarray:
    """Of a region that begins and ends between pixels; reversed, it is mirrored first."""
    height, width = kernel.size[0]
    top, left, bottom, right = np.rint(kernel.roi[0] * np.tile(x.shape[:2], 2)).astype(int)
    part = x[min(top, bottom) : max(top, bottom), min(left, right) : max(left, right)]
    part = part[:: -1 if bottom < top else 1, :: -1 if right < left else 1]
    return np.einsum("hg,wv,gvc->hwc", triangles(len(part), height), triangles(part.shape[1], width), part)


def triangles(length: int, out: int) -> np.ndarray:
    """Pillow's antialiased bilinear weights (out, length)."""
    step = length / out
    centre, at = step * (np.arange(out)[:, None] + 0.5), np.arange(length) + 0.5
    weights = np.maximum(1 - np.abs(at - centre) / max(step, 1), 0)
    return weights / weights.sum(axis=1, keepdims=True)


def looked_up(x: np.ndarray, kernel: Table) -> np.ndarray:
    return kernel.table[0][x.astype(int)].astype(float)


def warped(x: np.ndarray, kernels: list[Warp]) -> np.ndarray:
    ys, xs = np.mgrid[: x.shape[0], : x.shape[1]].astype(float)
    for kernel in reversed(kernels):
        xs, ys, scale = np.einsum("ij,jhw->ihw", kernel.matrix[0], np.stack([xs, ys, np.ones_like(xs)]))
        xs, ys = xs / scale, ys / scale
    return bilinear(x, ys, xs, kernels[0].fill)


def bilinear(x: np.ndarray, ys: np.ndarray, xs: np.ndarray, fill: int) -> np.ndarray:
    around = np.pad(x, ((2, 2), (2, 2), (0, 0)), constant_values=fill)
    ys, xs = ys.clip(-2, x.shape[0]) + 2, xs.clip(-2, x.shape[1]) + 2
    top, left = np.floor(ys).astype(int), np.floor(xs).astype(int)
    down, right = (ys - top)[..., None], (xs - left)[..., None]
    upper = around[top, left] * (1 - right) + around[top, left + 1] * right
    lower = around[top + 1, left] * (1 - right) + around[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


ALONE = {Window: windowed, Flip: flipped, Resize: resized, Table: looked_up}

# Every pair that fuses, with all flips.

WAYS = list(itertools.product([False, True], repeat=2))
FLIPS = [Flip(np.array([across]), np.array([down])) for across, down in WAYS]
CUT = Window(one(3, 7), one(24, 40), inside=True)
CUTS = [CUT, *(replace(CUT, **flip.arrays()) for flip in FLIPS)]
SMALL_CUTS = [replace(cut, start=one(5, 2), size=one(12, 30)) for cut in CUTS]
PADDED = [replace(cut, start=one(-3, 7), size=one(24, 50), fill=9, inside=False) for cut in CUTS]
#: Whole, a part off the middle, and that mirrored; of 40 × 52 and of 24 × 40 whole pixels all.
REGIONS = [[0, 0, 1, 1], [0.25, 0.25, 0.625, 0.75], [0.625, 0.25, 0.25, 0.75], [0.25, 0.75, 0.625, 0.25]]
RESIZES = [
    Resize(one(*region, dtype=np.float32), one(*size)) for region in REGIONS for size in [(9, 14), (31, 22)]
]
PAIRS = {
    "flip, flip": (FLIPS, FLIPS),
    "flip, window": (FLIPS, CUTS + PADDED),
    "window, flip": (CUTS + PADDED, FLIPS),
    "window, window": (CUTS + PADDED, SMALL_CUTS),
    "window, resize": (CUTS, RESIZES),
    "flip, resize": (FLIPS, RESIZES),
    "resize, flip": (RESIZES, FLIPS),
}


@both
@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_is_the_composition_of_its_two(render, name: str, image: np.ndarray) -> None:
    for first, then in itertools.product(*PAIRS[name]):
        fused = fuse_pair(first, then, SIZE)
        assert fused is not None
        difference = np.abs(render(image, (fused,)) - composed(image, [first, then]))
        assert difference.max() <= (1.01 if "resize" in name else 0)
        assert difference.mean() <= 0.35


@both
@pytest.mark.parametrize("cut", CUTS)
def test_a_flip_a_window_and_a_resize_of_a_region_are_one_resize(render, cut: Window, image) -> None:
    for flip, resize in itertools.product(FLIPS, RESIZES):
        for chain in ([flip, cut, resize], [cut, flip, resize, flip]):
            (fused,) = fuse(chain, SIZE)
            assert isinstance(fused, Resize)
            assert np.abs(render(image, (fused,)) - composed(image, chain)).max() <= 1.01


def test_images_of_one_batch_are_fused_each_by_its_own_parameters() -> None:
    sizes = np.array([[40, 52], [20, 100]], np.int32)
    flip = Flip(np.array([True, False]), np.array([False, True]))
    window = Window(np.array([[8, 13], [2, 50]], np.int32), np.array([[20, 26], [10, 25]], np.int32), 0)
    assert fuse_pair(flip, window, sizes).start.tolist() == [[8, 13], [8, 50]]
    resize = Resize(np.float32([[0, 0, 0.5, 0.5], [0.25, 0, 1, 1]]), np.full((2, 2), 8, np.int32))
    assert fuse_pair(flip, resize, sizes).roi.tolist() == [[0, 1, 0.5, 0.5], [0.75, 0, 0, 1]]
    of_window = fuse_pair(replace(window, inside=True), resize, sizes).roi
    assert np.allclose(of_window, [[0.2, 0.25, 0.45, 0.5], [0.225, 0.5, 0.6, 0.75]])


# Chains of kernels for one image.


@both
@patient
@given(kernels=index_maps(H, W, padded=True))
def test_windows_and_flips_are_one_map_of_indices(render, image: np.ndarray, kernels: list[Kernel]) -> None:
    fused = fuse(kernels, SIZE)
    paddings = sum(isinstance(kernel, Window) and not kernel.inside for kernel in kernels)
    assert len(fused) <= 1 + paddings
    assert np.array_equal(render(image, fused), composed(image, kernels))


@both
@patient
@given(
    kernels=index_maps(H, W, padded=False),
    size=st.tuples(st.integers(4, 60), st.integers(4, 60)),
    after=flips,
)
def test_windows_and_flips_are_the_region_of_a_resize(
    render, image: np.ndarray, kernels: list[Kernel], size: tuple[int, int], after: Flip
) -> None:
    chain = [*kernels, Resize(one(0, 0, 1, 1, dtype=np.float32), one(*size)), after]
    fused = fuse(chain, SIZE)
    assert [type(kernel) for kernel in fused] == [Resize]
    difference = np.abs(render(image, fused) - composed(image, chain))
    assert difference.max() <= 1.01  # half a pixel value of rounding, and torch's weights of 8 bits
    assert difference.mean() <= 0.35


@both
@patient
@given(seeds=st.lists(st.integers(0, 99), min_size=2, max_size=5))
def test_tables_are_one_table(render, image: np.ndarray, seeds: list[int]) -> None:
    chain = [Table(np.random.default_rng(seed).integers(0, 256, (1, 256)).astype(np.uint8)) for seed in seeds]
    fused = fuse(chain, SIZE)
    assert len(fused) == 1
    assert np.array_equal(render(image, fused), composed(image, list(chain)))


def at_every_barrier(render, image: np.ndarray, kernels: list[Kernel]) -> list[np.ndarray]:
    """The image after both parts, for every barrier from before the first kernel to after the last."""
    pairs = [fuse_around(kernels, SIZE, barrier) for barrier in range(len(kernels) + 1)]
    assert pairs[0] == ((), pairs[0][1])
    assert pairs[-1] == (pairs[-1][0], ())
    return [render(render(image, before), after) for before, after in pairs]


@both
@patient
@given(kernels=index_maps(H, W, padded=True))
def test_a_barrier_anywhere_among_windows_and_flips_changes_no_pixel(
    render, image: np.ndarray, kernels: list[Kernel]
) -> None:
    expected = composed(image, kernels)
    assert all(np.array_equal(made, expected) for made in at_every_barrier(render, image, kernels))


@both
@patient
@given(
    kernels=index_maps(H, W, padded=False),
    size=st.tuples(st.integers(4, 60), st.integers(4, 60)),
    after=flips,
)
def test_a_barrier_anywhere_before_a_resize_is_within_its_rounding(
    render, image: np.ndarray, kernels: list[Kernel], size: tuple[int, int], after: Flip
) -> None:
    chain = [*kernels, Resize(one(0, 0, 1, 1, dtype=np.float32), one(*size)), after]
    expected = composed(image, chain)
    for made in at_every_barrier(render, image, chain):
        assert np.abs(made - expected).max() <= 1.01


@both
@patient
@given(seeds=st.lists(st.integers(0, 99), min_size=1, max_size=5))
def test_a_barrier_anywhere_among_tables_changes_no_pixel(
    render, image: np.ndarray, seeds: list[int]
) -> None:
    chain = [Table(np.random.default_rng(seed).integers(0, 256, (1, 256)).astype(np.uint8)) for seed in seeds]
    expected = composed(image, list(chain))
    assert all(np.array_equal(made, expected) for made in at_every_barrier(render, image, list(chain)))


def turn(angle: float, scale: float, shift: float) -> Warp:
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    matrix = [[cosine, -sine, shift + W / 3 * sine], [sine, cosine, -W / 3 * sine], [0, 0, 1]]
    return Warp(np.array([matrix]), "bilinear", 70)


turns = st.builds(turn, st.floats(-1, 1), st.floats(0.8, 1.25), st.floats(-4, 4))


@both
@patient
@given(chain=st.lists(turns, min_size=2, max_size=4))
def test_warps_are_one_interpolation(render, image: np.ndarray, chain: list[Warp]) -> None:
    fused = fuse(chain, SIZE)
    assert len(fused) == 1
    difference = np.abs(render(image, fused) - composed(image, list(chain)))
    assert difference.mean() <= 0.6  # OpenCV's coordinates are multiples of 1/32 of a pixel
    assert np.quantile(difference, 0.99) <= 5


@pytest.mark.parametrize("tilted", [(False, False), (False, True), (True, False), (True, True)])
def test_a_warp_that_takes_in_a_tilt_is_projective(tilted: tuple[bool, bool]) -> None:
    tilt = np.array([[[1.1, 0.2, -3], [0, 0.9, 2], [0.001, 0.002, 1]]])
    shift = np.array([[[1, 0, 4], [0, 1, -6], [0, 0, 1.0]]])
    first, then = (Warp(tilt if one else shift, "nearest", 5, projective=one) for one in tilted)
    fused = fuse_pair(first, then, None)
    assert (fused.projective, fused.interpolation, fused.fill) == (any(tilted), "nearest", 5)
    for point in ([0, 0, 1], [30, 7, 1]):
        middle = then.matrix[0] @ point
        x, y, scale = first.matrix[0] @ (middle / middle[2])
        assert fused.matrix[0] @ point / (fused.matrix[0] @ point)[2] == pytest.approx(
            [x / scale, y / scale, 1]
        )


def test_colours_and_normalisation_are_not_fused() -> None:
    colour = Matrix(np.eye(3, 4, dtype=np.float32)[None])
    kernels = (colour, colour, Table(np.arange(256, dtype=np.uint8)[None]), Normalize((0,) * 3, (1,) * 3))
    assert fuse(kernels, SIZE) == kernels


TABLE, MIRROR = Table(np.arange(255, -1, -1, dtype=np.uint8)[None]), Flip(np.array([True]), np.array([False]))
INSIDE = Window(one(2, 3), one(20, 30), inside=True)
COLOUR = Matrix(np.eye(3, 4, dtype=np.float32)[None])


@pytest.mark.parametrize(
    ("barrier", "before", "after"),
    [
        (0, [], [Window, Table, Flip, Matrix]),
        (1, [Flip], [Window, Table, Flip, Matrix]),
        (2, [Window], [Table, Flip, Matrix]),
        (3, [Window, Table], [Table, Flip, Matrix]),
        (4, [Window, Table], [Flip, Matrix]),
        (5, [Window, Table, Flip], [Matrix]),
        (6, [Window, Table, Flip, Matrix], []),
    ],
)
def test_only_a_kernel_that_reaches_across_the_barrier_is_left_in_two(
    barrier: int, before: list, after: list
) -> None:
    chain = [MIRROR, INSIDE, TABLE, TABLE, MIRROR, COLOUR]
    parts = fuse_around(chain, SIZE, barrier)
    assert [[type(kernel) for kernel in part] for part in parts] == [before, after]
    whole = fuse(chain, SIZE)
    # Those that do not reach across it are those without it.
    for part, expected in ((parts[0][:-1], whole), (parts[1][:0:-1], whole[::-1])):
        for kernel, same in zip(part, expected, strict=False):
            assert all(np.array_equal(kernel.arrays()[name], same.arrays()[name]) for name in same.arrays())


@both
def test_a_barrier_where_the_size_is_another_than_the_images_changes_no_pixel(render, image) -> None:
    # The last three are one window, of images of 24 × 40.
    chain = [CUT, TABLE, MIRROR, SMALL_CUTS[3], MIRROR]
    assert [type(kernel) for kernel in fuse(chain, SIZE)] == [Window, Table, Window]
    for made in at_every_barrier(render, image, chain):
        assert np.array_equal(made, composed(image, list(chain)))


def test_a_pair_is_one_kernel_or_none() -> None:
    both_ways = Flip(np.array([False]), np.array([True]))
    turned = fuse_pair(MIRROR, both_ways, None)
    assert turned == Flip(np.array([True]), np.array([True]))
    assert fuse_pair(TABLE, COLOUR, None) is None
    assert fuse_pair(COLOUR, COLOUR, None) is None
    assert fuse_pair(INSIDE, Window(one(-1, -1), one(30, 40)), SIZE) is None


def test_what_needs_no_sizes_fuses_without_them() -> None:
    resize = Resize(one(0, 0, 1, 1, dtype=np.float32), one(20, 30))
    assert [type(kernel) for kernel in fuse([MIRROR, MIRROR, TABLE, TABLE, COLOUR], None)] == [
        Flip,
        Table,
        Matrix,
    ]
    (blind,), (seeing,) = (fuse([MIRROR, resize, MIRROR], size) for size in (None, SIZE))
    assert np.array_equal(blind.roi, seeing.roi)

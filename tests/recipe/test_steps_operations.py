"""Each operation of the policies against torchvision's own, on the same uint8 image."""

from itertools import chain

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from fastffdi.recipe.program import Program
from fastffdi.recipe.steps.operations import (
    KINDS,
    MIXED,
    MIXED_PARTLY,
    NAMES,
    STANDARD,
    WIDE,
    Space,
    lowered,
    signed,
)
from fastffdi.render.cpu.renderer import render

SPACES = {
    "RandAugment": (STANDARD, v2.RandAugment._AUGMENTATION_SPACE),
    "TrivialAugmentWide": (WIDE, v2.TrivialAugmentWide._AUGMENTATION_SPACE),
    "AugMix": (MIXED, v2.AugMix._AUGMENTATION_SPACE),
    "AugMix without colours": (MIXED_PARTLY, v2.AugMix._PARTIAL_AUGMENTATION_SPACE),
}
SIZES = [(96, 96), (61, 83), (64, 47), (40, 41)]
GEOMETRY = {"ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"}
#: How far pixel values may be off: where torchvision truncates, we round. OpenCV's 10 bits make Color's 2.
ROUNDED = {"Brightness": 1, "Color": 2, "Contrast": 1, "Sharpness": 1}


def ours(image: np.ndarray, name: str, magnitude: float, interpolation: str, fill: int = 0) -> np.ndarray:
    chosen, size = np.array([[NAMES.index(name)]]), np.array([image.shape[:2]], np.int32)
    (slot,) = lowered(chosen, np.array([[magnitude]]), size, interpolation, fill)
    return render(image, Program(tuple(slot)), 0)


def theirs(image: np.ndarray, name: str, magnitude: float, interpolation: str) -> np.ndarray:
    policy, how = v2.RandAugment(), v2.InterpolationMode(interpolation)
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    out = policy._apply_image_or_video_transform(tensor, name, magnitude, how, policy._fill)
    return out.permute(1, 2, 0).numpy()


def magnitudes(table: dict, name: str, bins: int, size: tuple[int, int]) -> list[float]:
    """All of torchvision's, both ways where it draws a sign."""
    make, both_ways = table[name]
    values = make(bins, *size)
    once = [0.0] if values is None else [float(value) for value in values]
    return once + [-value for value in once] if both_ways else once


def off(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(int) - b)


@pytest.fixture(scope="module")
def grainy(paint):
    def make(size: tuple[int, int]) -> np.ndarray:
        grain = np.random.default_rng(5).normal(0, 12, (*size, 1))
        return (paint(*size, 3) + grain).clip(0, 255).astype(np.uint8)

    return make


@pytest.mark.parametrize("name", SPACES)
def test_a_space_holds_torchvisions_operations(name: str) -> None:
    space, table = SPACES[name]
    assert {NAMES[k] for k in space.operations} == set(table)
    assert len(space.operations) == len(table)


@pytest.mark.parametrize("bins", [2, 10, 31, 100])
@pytest.mark.parametrize("name", [*SPACES, "AutoAugment"])
def test_every_magnitude_is_torchvisions_to_the_last_bit(name: str, bins: int) -> None:
    space, table = SPACES.get(name, (STANDARD, v2.AutoAugment._AUGMENTATION_SPACE))
    for operation, (make, _) in table.items():
        for size in [(256, 256), (101, 133), (37, 1999)]:
            expected = make(bins, *size)
            expected = np.zeros(bins) if expected is None else expected.double().numpy()
            assert np.array_equal(all_of(space, operation, bins, size), expected), (operation, size)


def all_of(space: Space, operation: str, bins: int, size: tuple[int, int]) -> np.ndarray:
    chosen, sizes = np.full((1, bins), NAMES.index(operation)), np.tile(size, (bins, 1))
    return space.magnitude(chosen, np.arange(bins)[None], bins, sizes)[0]


def test_the_operations_with_a_sign_are_torchvisions() -> None:
    table = {**v2.RandAugment._AUGMENTATION_SPACE, **v2.AutoAugment._AUGMENTATION_SPACE}
    for k, name in enumerate(NAMES):
        both = signed(np.array([k, k]), np.ones(2), np.array([0.499, 0.5]))
        assert both.tolist() == ([-1, 1] if table[name][1] else [1, 1])


def test_operations_are_chosen_evenly_from_the_first_to_the_last() -> None:
    chosen = WIDE.choose(np.linspace(0, 1, 1400, endpoint=False))
    assert np.bincount(chosen).tolist() == [100] * 14
    assert MIXED_PARTLY.choose(np.array([0, 1 - 2**-53])).tolist() == [1, NAMES.index("Equalize")]


@pytest.mark.parametrize("name", NAMES)
def test_a_slot_has_the_same_kernels_for_every_operation(name: str) -> None:
    chosen = np.array([[NAMES.index(name), 0]])
    (slot,) = lowered(chosen, np.full((1, 2), 0.5), np.full((2, 2), 32, np.int32), "bilinear", 7)
    assert tuple(type(kernel) for kernel in slot) == KINDS
    assert (slot[0].interpolation, slot[0].fill) == ("bilinear", 7)
    assert all(kernel.is_identity(1) for kernel in slot)  # the identity
    assert sum(not kernel.is_identity(0) for kernel in slot) == (
        name not in ("Identity", "TranslateX", "TranslateY")
    )


@pytest.mark.parametrize("name", [name for name in NAMES if name not in GEOMETRY])
def test_pixel_values_change_as_in_torchvision(name: str, grainy) -> None:
    for _, table in [*SPACES.values(), (STANDARD, v2.AutoAugment._AUGMENTATION_SPACE)]:
        for magnitude in magnitudes(table, name, 10, (61, 83)) if name in table else []:
            image = grainy((61, 83))
            difference = off(
                ours(image, name, magnitude, "nearest"), theirs(image, name, magnitude, "nearest")
            )
            assert difference.max() <= ROUNDED.get(name, 0)
            assert (difference > 1).mean() <= 0.005


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", sorted(GEOMETRY))
def test_bilinear_geometry_is_torchvisions(name: str, size: tuple[int, int], grainy) -> None:
    image = grainy(size)
    for _, table in SPACES.values():
        for magnitude in magnitudes(table, name, 7, size):
            difference = off(
                ours(image, name, magnitude, "bilinear"), theirs(image, name, magnitude, "bilinear")
            )
            assert difference.mean() <= 0.1
            assert difference.max() <= 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["ShearX", "ShearY", "Rotate"])
def test_nearest_geometry_is_torchvisions_but_for_ties(name: str, size: tuple[int, int], grainy) -> None:
    """Half way between two pixels, single precision decides in torchvision: mostly in a few whole lines."""
    image, shares = grainy(size), []
    for _, table in SPACES.values():
        for magnitude in magnitudes(table, name, 31, size)[::3]:
            if magnitude % 90 == 0 and sum(size) % 2:
                continue  # a quarter of a turn: every pixel is a tie
            difference = off(
                ours(image, name, magnitude, "nearest"), theirs(image, name, magnitude, "nearest")
            )
            shares.append(difference.any(axis=2).mean())
    assert max(shares) <= 0.1
    assert np.mean(shares) <= 0.005


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["TranslateX", "TranslateY"])
def test_shifts_are_torchvisions_cut_to_whole_pixels(name: str, size: tuple[int, int], grainy) -> None:
    image = grainy(size)
    for _, table in SPACES.values():
        for magnitude in magnitudes(table, name, 10, size):
            for how in ("nearest", "bilinear"):
                assert np.array_equal(ours(image, name, magnitude, how), theirs(image, name, magnitude, how))


def test_what_comes_from_outside_is_filled(grainy) -> None:
    out = ours(grainy((40, 50)), "TranslateX", 7.9, "nearest", fill=9)
    assert (out[:, :7] == 9).all()
    assert np.array_equal(out[:, 7:], grainy((40, 50))[:, :-7])


def test_a_whole_batch_is_lowered_as_each_image_alone() -> None:
    rng = np.random.default_rng(2)
    chosen, sizes = rng.integers(0, len(NAMES), (3, 20)), rng.integers(30, 90, (20, 2)).astype(np.int32)
    magnitude = rng.uniform(0, 0.9, chosen.shape)
    whole = lowered(chosen, magnitude, sizes, "nearest", 0)
    for i in range(20):
        alone = lowered(chosen[:, i : i + 1], magnitude[:, i : i + 1], sizes[i : i + 1], "nearest", 0)
        for a, b in zip(chain(*whole), chain(*alone), strict=True):
            assert all(np.array_equal(value[i], b.arrays()[key][0]) for key, value in a.arrays().items())

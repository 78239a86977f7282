"""The CPU renderer's kernels one by one, against torchvision and, where that truncates, against float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import functional as F

from fastffdi.recipe import kernels as k
from fastffdi.recipe.kernels import AUTOCONTRAST, CONTRAST, EQUALIZE
from fastffdi.recipe.program import Program
from fastffdi.recipe.steps.texture import gaussian
from fastffdi.render.cpu.renderer import render
from fastffdi.render.cpu.texture import round_trip

quick = settings(max_examples=40, deadline=None)
sides = st.integers(1, 12)
MODES = "constant", "edge", "reflect", "symmetric"


def done(image: np.ndarray, kernel: k.Kernel) -> np.ndarray:
    return render(image, Program((kernel,)), 0)


def by_torchvision(image: np.ndarray, function, *arguments: object) -> np.ndarray:
    return function(torch.from_numpy(image).permute(2, 0, 1), *arguments).permute(1, 2, 0).numpy()


def one(*numbers: float, dtype: type = np.float32) -> np.ndarray:
    return np.array([numbers] if len(numbers) > 1 else numbers, dtype)


def stretch(how: int, amount: float = 1) -> k.Stretch:
    return k.Stretch(one(how, dtype=np.int32), one(amount))


@settings(max_examples=200, deadline=None)
@given(sides, sides, st.sampled_from(MODES), st.data())
def test_a_window_reaching_out_is_one_of_the_padded_image(height: int, width: int, mode: str, data) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    limit = {"reflect": (width - 1, height - 1), "symmetric": (width, height)}.get(mode, (20, 20))
    x, y = (data.draw(st.integers(0, most)) for most in limit)
    padded = by_torchvision(image, F.pad, [x, y, x, y], 9, mode)
    top, left = (data.draw(st.integers(0, side - 1)) for side in padded.shape[:2])
    rows, columns = (
        data.draw(st.integers(1, s - t)) for s, t in zip(padded.shape, (top, left), strict=False)
    )
    size = one(rows, columns, dtype=np.int32)
    kernel = k.Window(one(top - y, left - x, dtype=np.int32), size, fill=9, mode=mode)
    assert np.array_equal(done(image, kernel), padded[top : top + rows, left : left + columns])


@quick
@given(sides, sides, st.integers(0, 2**32), st.booleans())
def test_equalising_and_widening_are_torchvisions(height: int, width: int, seed: int, dull: bool) -> None:
    image = np.random.default_rng(seed).integers(
        90 * dull, 256 - 150 * dull, (height * 9, width * 9, 3), np.uint8
    )
    assert np.array_equal(done(image, stretch(EQUALIZE)), by_torchvision(image, F.equalize))
    assert np.array_equal(done(image, stretch(AUTOCONTRAST)), by_torchvision(image, F.autocontrast))


@pytest.mark.parametrize("how", [EQUALIZE, AUTOCONTRAST])
@pytest.mark.parametrize("size", [(1, 1), (30, 20)])
def test_an_image_of_one_pixel_value_cannot_be_stretched(how: int, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 77, np.uint8)
    assert np.array_equal(done(image, stretch(how)), image)


@pytest.mark.parametrize("amount", [0, 0.3, 1.9])
def test_contrast_is_torchvisions_but_rounded(amount: float, paint) -> None:
    image = paint(40, 50, 3)
    theirs = by_torchvision(image, F.adjust_contrast, amount)
    difference = done(image, stretch(CONTRAST, amount)).astype(int) - theirs
    assert set(np.unique(difference)) <= {0, 1}


def test_contrast_is_about_the_mean_of_floored_greys_and_is_rounded() -> None:
    # The weights of grey sum to 0.9999, so that 200 has the grey 199, and the image the mean 99.5.
    image = np.repeat(np.uint8([0, 200]), 3).reshape(1, 2, 3)
    assert done(image, stretch(CONTRAST, 0.5))[0, :, 0].tolist() == [50, 150]
    assert done(image, stretch(CONTRAST, 0.9))[0, :, 0].tolist() == [10, 190]
    assert (done(np.full((4, 5, 3), 77, np.uint8), stretch(CONTRAST, 0)) == 76).all()


def test_noise_is_the_hash_of_key_and_place() -> None:
    """MurmurHash3's finaliser, in Python's integers: four bytes summed, less their mean of 510."""

    def bell(place: int, key: int) -> int:
        word = (place * 0x9E3779B9 + key) % 2**32
        word = (word ^ word >> 16) * 0x85EBCA6B % 2**32
        word = (word ^ word >> 13) * 0xC2B2AE35 % 2**32
        return sum((word ^ word >> 16).to_bytes(4, "little")) - 510

    added = done(np.full((2, 5, 3), 128, np.uint8), noise(20, 12345)).ravel().astype(int) - 128
    deviation = (4 * (256**2 - 1) / 12) ** 0.5
    assert added.tolist() == [round(20 / deviation * bell(place, 12345)) for place in range(30)]


@quick
@given(st.integers(9, 40), st.integers(9, 40), st.floats(0.1, 9), st.sampled_from([1, 3, 9, 17]))
def test_a_blur_is_torchvisions(paint, height: int, width: int, sigma: float, length: int) -> None:
    image, weights = paint(height, width, 1), np.array([sigma])
    theirs = by_torchvision(image, F.gaussian_blur, [5, length], sigma)
    ours = done(image, k.Blur(gaussian(length, weights), gaussian(5, weights)))
    difference = np.abs(ours - theirs.astype(int))
    assert difference.max() <= 1
    assert difference.mean() < 0.01


@quick
@given(st.integers(1, 30), st.integers(1, 30), st.floats(0, 5))
def test_sharpness_is_torchvisions_but_rounded(paint, height: int, width: int, amount: float) -> None:
    image = paint(height, width, 2)
    theirs = by_torchvision(image, F.adjust_sharpness, amount)
    assert np.abs(done(image, k.Sharpen(one(amount))) - theirs.astype(int)).max() <= 1


@quick
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 100))
def test_jpeg_is_pillows_to_the_bit(paint, height: int, width: int, quality: int) -> None:
    image = paint(height, width, 3)
    theirs = np.asarray(F.jpeg(Image.fromarray(image), quality))
    assert np.array_equal(done(image, k.Jpeg(one(quality, dtype=np.int32))), theirs)


def test_jpeg_takes_images_that_are_no_copies(paint) -> None:
    image = paint(40, 50, 3)
    assert np.array_equal(round_trip(image[3:, 5:], 60), round_trip(image[3:, 5:].copy(), 60))


def noise(sigma: float, key: int, offset: int = 0) -> k.Noise:
    return k.Noise(one(sigma), one(key, dtype=np.int64), one(offset, dtype=np.int32))


def test_noise_is_about_its_mean(paint) -> None:
    image = paint(60, 70, 4) // 2 + 40
    shifted = done(image, noise(9, 5, 20)).astype(int) - done(image, noise(9, 5))
    assert (shifted == 20).all()


def test_noise_is_nearly_normal_of_its_deviation() -> None:
    image = np.full((200, 200, 3), 128, np.uint8)
    added = done(image, noise(10, 5)).astype(float) - 128
    assert added.mean() == pytest.approx(0, abs=0.1)
    assert added.std() == pytest.approx(10, rel=0.01)
    assert (np.abs(added) <= 10).mean() == pytest.approx(0.69, abs=0.03)
    assert np.abs(added).max() <= 35


def test_noise_is_as_strong_as_torchvisions(paint) -> None:
    image = paint(200, 200, 4)
    ours = done(image, noise(0.08 * 255, 5)).astype(float) - image
    theirs = by_torchvision(image, F.gaussian_noise, 0.0, 0.08).astype(float) - image
    assert ours.std() == pytest.approx(theirs.std(), rel=0.05)


def test_noise_neither_repeats_nor_follows_the_image() -> None:
    image = np.full((64, 64, 3), 128, np.uint8)
    fields = [done(image, noise(20, key)).ravel() - 128.0 for key in (1, 2)]
    neighbours = [(fields[0], fields[1]), (fields[0][:-1], fields[0][1:]), (fields[0][:-3], fields[0][3:])]
    assert all(abs(np.corrcoef(a, b)[0, 1]) < 0.03 for a, b in neighbours)


def test_erasing_fills_the_box_and_nothing_else(paint) -> None:
    image = paint(20, 30, 5)
    out = done(image, k.Erase(one(3, 5, 9, 30, dtype=np.int32), (1, 2, 3)))
    fill = torch.tensor([1, 2, 3], dtype=torch.uint8)[:, None, None]
    assert np.array_equal(out, by_torchvision(image, F.erase, 3, 5, 6, 25, fill))


def test_a_blend_is_the_weighted_mean_truncated_to_whole_numbers(paint) -> None:
    image = paint(20, 30, 6)
    inverted = Program((k.Table(np.arange(255, -1, -1, dtype=np.uint8)[None]),))
    kernel = k.Blend((inverted, Program(())), one(0.5, 0.25, 0.25))
    expected = 0.75 * image.astype(float) + 0.25 * (255 - image.astype(float))
    assert np.array_equal(done(image, kernel), expected.astype(np.uint8))


def test_new_kernels_never_write_to_the_image(paint) -> None:
    image = paint(20, 30, 5)
    image.setflags(write=False)
    box, weights = one(3, 5, 9, 30, dtype=np.int32), gaussian(3, np.array([1.0]))
    for kernel in (
        stretch(EQUALIZE),
        k.Blur(weights, weights),
        k.Sharpen(one(2)),
        k.Jpeg(one(50, dtype=np.int32)),
        noise(9, 1),
        k.Erase(box),
    ):
        assert not np.array_equal(done(image, kernel), image)

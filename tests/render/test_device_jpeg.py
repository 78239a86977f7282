"""JPEG compression on a batch, against the codec that the CPU renderer calls: equal to the bit everywhere."""

import io
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from recorded import recorded

from fastffdi.recipe.kernels import Jpeg
from fastffdi.render.cpu.texture import round_trip
from fastffdi.render.device import jpeg
from fastffdi.render.device.tensors import Parameters

CPU = torch.device("cpu")
#: Whole units of 16, half ones, and as little of one as there can be. Up to a width of 4 chroma is repeated.
SIZES = ((16, 32), (8, 8), (17, 31), (40, 50), (1, 1), (9, 4), (9, 5), (4, 9), (1, 40), (40, 1))


def done(images: np.ndarray, quality: np.ndarray) -> np.ndarray:
    return compressed(torch.from_numpy(images), quality).numpy()


def compressed(x: torch.Tensor, quality: np.ndarray) -> torch.Tensor:
    kernel = Jpeg(quality.astype(np.int32))
    p = Parameters(quality=torch.from_numpy(kernel.quality).to(x.device))
    return jpeg.compressed(x, kernel, p)


def by_codec(images: np.ndarray, quality: np.ndarray) -> np.ndarray:
    return np.stack([round_trip(image, int(q)) for image, q in zip(images, quality, strict=True)])


def grained(paint, count: int, size: tuple[int, int]) -> np.ndarray:
    """(count, height, width, 3) uint8: smooth images with noise, of some images none, of others much."""
    noise = (
        np.random.default_rng(5).normal(0, 1, (count, *size, 3))
        * (np.arange(count) % 4 * 25)[:, None, None, None]
    )
    images = np.stack([paint(*size, seed) for seed in range(count)])
    return (images + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_every_quality_is_the_codecs_to_the_bit(size: tuple[int, int], paint) -> None:
    images, quality = grained(paint, 100, size), np.arange(100, 0, -1)
    ours = done(images, quality)
    assert ours.dtype == np.uint8
    assert np.array_equal(ours, by_codec(images, quality))


def test_patterns_of_black_and_white_are_the_codecs_to_the_bit() -> None:
    y, x = np.mgrid[:24, :40]
    periods = [(rows, columns) for rows in (1, 2, 3, 8, 40) for columns in (1, 2, 5, 8, 40)]
    board = np.stack([(y // rows + x // columns) % 2 for rows, columns in periods])
    images = (board[..., None] * [255, 0, 255] + (1 - board[..., None]) * [0, 255, 0]).astype(np.uint8)
    images[::2] = 255 * board[::2, ..., None]
    for quality in (1, 20, 75, 96, 100):
        qualities = np.full(len(images), quality)
        assert np.array_equal(done(images, qualities), by_codec(images, qualities))


def test_colours_are_the_codecs_to_the_bit() -> None:
    colours = np.random.default_rng(2).integers(0, 256, (4096, 1, 1, 3)).astype(np.uint8)
    quality = np.full(len(colours), 100)
    assert np.array_equal(done(colours, quality), by_codec(colours, quality))


@pytest.mark.parametrize("quality", [1, 10, 30, 50, 75, 90, 95, 100])
def test_photographs_are_the_codecs_to_the_bit(quality: int, test_data: Path) -> None:
    paths = sorted((test_data / "photos").iterdir())[:10]
    images = np.stack([np.asarray(Image.open(path).convert("RGB").resize((256, 256))) for path in paths])
    qualities = np.full(len(images), quality)
    assert np.array_equal(done(images, qualities), by_codec(images, qualities))


def test_an_image_is_the_same_alone_and_among_others(paint) -> None:
    images, quality = grained(paint, 4, (20, 30)), np.array([5, 95, 40, 70])
    together = done(images, quality)
    alone = [done(images[i : i + 1], quality[i : i + 1])[0] for i in range(4)]
    assert np.array_equal(together, np.stack(alone))


def test_quality_0_leaves_an_image_as_it_is(paint) -> None:
    images, quality = grained(paint, 3, (20, 30)), np.array([0, 60, 0])
    ours = done(images, quality)
    assert np.array_equal(ours[::2], images[::2])
    assert np.array_equal(ours[1], round_trip(images[1], 60))


def test_the_quantisation_tables_are_those_in_the_codecs_files() -> None:
    ours = jpeg.quantisation_tables(torch.arange(1, 101, dtype=torch.int32))
    assert ours.dtype == torch.int32
    assert ours.shape == (100, 2, 8, 8)
    theirs = [[table for _, table in sorted(encoded(q).quantization.items())] for q in range(1, 101)]
    assert np.array_equal(ours.numpy().reshape(100, 2, 64), theirs)


def encoded(quality: int) -> Image.Image:
    black = np.zeros((8, 8, 3), np.uint8)
    data = cv2.imencode(".jpg", black, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return Image.open(io.BytesIO(data.tobytes()))


def test_the_transform_is_the_cosines_but_for_rounded_constants() -> None:
    k, n = np.mgrid[:8, :4]
    exact = 8192 * np.sqrt(2) * np.cos((2 * n + 1) * k * np.pi / 16)
    exact[0] = 8192
    ours = jpeg._tables(CPU).forward.reshape(8, 4).numpy()
    assert np.abs(ours - exact).max() < 1.5


@pytest.mark.parametrize("size", SIZES)
def test_operations_do_not_grow_with_the_batch(size: tuple[int, int], paint) -> None:
    names = [operations(grained(paint, n, size)) for n in (2, 8)]
    assert names[0] == names[1]


def operations(images: np.ndarray) -> list[str]:
    jpeg._tables(CPU)
    with recorded() as names:
        done(images, np.full(len(images), 60))
    return names


@pytest.mark.parametrize("size", SIZES)
def test_all_operands_are_where_the_images_are(size: tuple[int, int]) -> None:
    x = torch.empty((3, *size, 3), dtype=torch.uint8, device="meta")
    out = compressed(x, np.full(3, 60))
    assert (out.shape, out.dtype, out.device.type) == (x.shape, torch.uint8, "meta")
    assert out.is_contiguous()


@pytest.fixture
def no_tables() -> Iterator[None]:
    """As before the first batch."""
    jpeg._tables.cache_clear()
    yield
    jpeg._tables.cache_clear()


@pytest.mark.usefixtures("no_tables")
def test_constants_are_brought_to_a_device_once(paint, monkeypatch: pytest.MonkeyPatch) -> None:
    images, quality = grained(paint, 2, (20, 30)), np.array([30, 90])
    first = done(images, quality)
    monkeypatch.delattr(torch, "tensor")
    assert np.array_equal(done(images, quality), first)


@pytest.mark.usefixtures("no_tables")
def test_constants_made_while_scoring_are_ordinary_tensors() -> None:
    with torch.inference_mode():
        tables = jpeg._tables(CPU)
    assert not any(table.is_inference() for table in vars(tables).values())


def test_autocast_changes_nothing(paint) -> None:
    images, quality = grained(paint, 2, (20, 30)), np.array([30, 90])
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(done(images, quality), by_codec(images, quality))


def test_on_the_cpu_the_codec_does_it(monkeypatch: pytest.MonkeyPatch, paint) -> None:
    images, quality = grained(paint, 3, (17, 31)), np.array([40, 0, 90])
    kernel, before = Jpeg(quality.astype(np.int32)), images.copy()
    monkeypatch.setattr(jpeg, "compressed", None)
    out = jpeg.jpeg(torch.from_numpy(images), kernel, Parameters())
    expected = np.where(quality[:, None, None, None] > 0, by_codec(images, quality.clip(min=1)), images)
    assert np.array_equal(out.numpy(), expected)
    assert np.array_equal(images, before)

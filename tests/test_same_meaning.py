"""What a file means is the same for all loaders: values of 0..255 per pixel, at most 1 apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fastffdi.data.limits import LIMITS
from fastffdi.loaders import torchvision
from fastffdi.render.cpu.decode import decode_path

SIZE = (37, 53)


def saved(mode: str, **options: Any) -> Callable[[Path, np.ndarray], None]:
    return lambda path, values: (
        Image.fromarray((values >> 8).astype(np.uint8)).convert(mode).save(path, **options)
    )


def sixteen(channels: slice | int) -> Callable[[Path, np.ndarray], None]:
    return lambda path, values: cv2.imwrite(str(path), values[..., channels])


def with_alpha(mode: str, **options: Any) -> Callable[[Path, np.ndarray], None]:
    def save(path: Path, values: np.ndarray) -> None:
        image = Image.fromarray((values >> 8).astype(np.uint8)).convert(mode)
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        image.save(path, **options)

    return save


KINDS: dict[str, Callable[[Path, np.ndarray], None]] = {
    "grey16.png": sixteen(0),
    "grey16.tif": sixteen(0),
    "rgb16.png": sixteen(slice(3)),
    "rgb16.tif": sixteen(slice(3)),
    "grey.png": saved("L"),
    "one-bit.png": saved("1"),
    "one-bit.bmp": saved("1"),
    "palette.png": saved("P"),
    "palette.bmp": saved("P"),
    "palette.tif": saved("P"),
    "transparent-palette.png": saved("P", transparency=bytes(range(200))),
    "transparent-colour.png": saved("RGB", transparency=(1, 2, 3)),
    "rgba.png": with_alpha("RGB"),
    "la.png": with_alpha("L"),
    "rgba.tif": with_alpha("RGB"),
    "rgba.webp": with_alpha("RGB", lossless=True, exact=True),
    "cmyk.jpg": saved("CMYK"),
    "cmyk.tif": saved("CMYK"),
    "progressive.jpg": saved("RGB", progressive=True),
    "lossless.webp": saved("RGB", lossless=True),
}


@pytest.fixture
def values() -> np.ndarray:
    """(H, W, 3) uint16, all of the range."""
    coarse = np.random.default_rng(3).uniform(0, 65535, (6, 6, 3))
    return cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 65535).astype(np.uint16)


def by_torchvision(path: Path) -> np.ndarray:
    return np.asarray(torchvision._opened(str(path), LIMITS))


def by_dali(path: Path) -> np.ndarray:
    dali = pytest.importorskip("nvidia.dali", exc_type=ImportError)
    from fastffdi.recipe.program import EMPTY
    from fastffdi.render.dali import graph, path_matrix

    pipeline = dali.Pipeline(batch_size=1, num_threads=1, device_id=None, prefetch_queue_depth=1)
    with pipeline:
        pipeline.set_outputs(graph(EMPTY, "cpu", lambda: (path_matrix([str(path)]),)))
    return np.array(pipeline.run()[0].at(0))


@pytest.mark.parametrize("name", KINDS)
def test_loaders_agree(name: str, values: np.ndarray, tmp_path: Path) -> None:
    KINDS[name](tmp_path / name, values)
    ours = decode_path(str(tmp_path / name))
    assert ours.shape == (*SIZE, 3)
    assert np.array_equal(by_torchvision(tmp_path / name), ours)
    assert np.abs(by_dali(tmp_path / name).astype(int) - ours).max() <= 1


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_grey_of_16_bits_is_the_same_bit_by_bit(extension: str, values: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / f"a.{extension}"
    cv2.imwrite(str(path), values[..., 0])
    expected = np.rint(values[..., :1] / 257).astype(np.uint8).repeat(3, 2)
    for decoded in (decode_path(str(path)), by_torchvision(path), by_dali(path)):
        assert np.array_equal(decoded, expected)


@pytest.mark.parametrize("extension", ["webp", "png", "tif"])
def test_of_several_frames_all_take_the_first(extension: str, values: np.ndarray, tmp_path: Path) -> None:
    first = Image.fromarray((values >> 8).astype(np.uint8))
    options = {"lossless": True} if extension == "webp" else {}
    path = tmp_path / f"a.{extension}"
    first.save(path, save_all=True, append_images=[first.transpose(Image.Transpose.ROTATE_180)], **options)
    for decoded in (decode_path(str(path)), by_torchvision(path), by_dali(path)):
        assert np.array_equal(decoded, np.asarray(first))


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "bmp", "tif"])
def test_one_pixel_is_an_image_to_all(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{extension}"
    Image.new("RGB", (1, 1), (200, 100, 50)).save(path)
    ours = decode_path(str(path))
    assert ours.shape == (1, 1, 3)
    assert np.array_equal(by_torchvision(path), ours)
    assert np.array_equal(by_dali(path), ours)


@pytest.mark.parametrize("extension", ["gif", "avif"])
def test_what_dali_does_not_read_the_others_do(extension: str, values: np.ndarray, tmp_path: Path) -> None:
    first = Image.fromarray((values >> 8).astype(np.uint8))
    path = tmp_path / f"a.{extension}"
    first.save(path, save_all=True, append_images=[first.transpose(Image.Transpose.ROTATE_180)])
    ours = decode_path(str(path))
    assert np.abs(ours.astype(int) - np.asarray(first)).mean() < 8
    assert np.array_equal(by_torchvision(path), ours)
    with pytest.raises(RuntimeError, match="nvImageCodec"):
        by_dali(path)

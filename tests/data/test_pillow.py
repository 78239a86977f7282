import io
import struct
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageSequence

from fastffdi.data.limits import Limits
from fastffdi.data.pillow import opened, rgb_image, webp_size

RAMP = np.arange(0, 65536, 7, np.uint16)[:9100].reshape(70, 130)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def encoded(values: np.ndarray, extension: str) -> bytes:
    return cv2.imencode(extension, values)[1].tobytes()


def rgb(data: bytes) -> np.ndarray:
    return np.asarray(rgb_image(io.BytesIO(data)))


def tiff(values: np.ndarray, order: str, bits: int = 16) -> bytes:
    """An uncompressed grey TIFF of (height, width) values."""
    body = values.astype(order + "u2").tobytes() if bits == 16 else packed(values)
    short, long = {256: values.shape[1], 257: values.shape[0], 258: bits, 259: 1, 262: 1}, {273: 8}
    more = {277: 1, 278: values.shape[0]}
    tags = [(k, 3, v) for k, v in short.items()] + [(k, 4, v) for k, v in long.items()]
    tags += [(k, 3, v) for k, v in more.items()] + [(279, 4, len(body))]
    entries = b"".join(
        struct.pack(order + ("HHIHH" if kind == 3 else "HHII"), tag, kind, 1, value, *([0] * (kind == 3)))
        for tag, kind, value in tags
    )
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8 + len(body))
    return start + body + struct.pack(order + "H", len(tags)) + entries + bytes(4)


def packed(values: np.ndarray) -> bytes:
    """12 bits a value, two in three bytes."""
    a, b = values.reshape(-1, 2).astype(int).T
    return np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], 1).astype(np.uint8).tobytes()


@pytest.mark.parametrize(
    "data", [encoded(RAMP, ".png"), encoded(RAMP, ".tiff"), tiff(RAMP, "<"), tiff(RAMP, ">")]
)
def test_grey_of_16_bits_is_scaled_to_8(data: bytes) -> None:
    assert np.array_equal(rgb(data), np.rint(RAMP / 257).astype(np.uint8)[..., None].repeat(3, 2))


def test_grey_of_12_bits_too() -> None:
    values = RAMP >> 4
    assert np.array_equal(rgb(tiff(values, "<", 12))[..., 1], np.rint(values / 4095 * 255).astype(np.uint8))


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_grey_of_16_bits_is_turned(form: str, turned: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    eight = Image.fromarray((RAMP >> 8).astype(np.uint8))
    (tmp_path / "a").write_bytes(saved(Image.fromarray(RAMP), form, exif=exif))
    with (tmp_path / "a").open("rb") as file:  # by its name Pillow would map it to memory
        sixteen = np.asarray(rgb_image(file))
    theirs = rgb(saved(eight, "PNG", exif=exif))
    assert sixteen.shape == theirs.shape == ((130, 70, 3) if turned > 4 else (70, 130, 3))
    assert np.abs(sixteen.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits_are_cut_to_the_upper_byte(extension: str, channels: int) -> None:
    values = np.dstack([np.roll(RAMP, k, 1) for k in range(channels)])
    assert np.array_equal(rgb(encoded(values, extension)), values[..., 2::-1] >> 8)


@pytest.mark.parametrize(
    ("mode", "form"), [("RGBA", "PNG"), ("RGBA", "TIFF"), ("RGBA", "WEBP"), ("LA", "PNG")]
)
def test_alpha_is_dropped(mode: str, form: str, paint) -> None:
    image = Image.fromarray(paint(40, 30, 3)).convert(mode[:-1])
    transparent = image.copy()
    transparent.putalpha(Image.linear_gradient("L").resize(image.size))
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    assert np.array_equal(rgb(saved(transparent, form, **options)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("transparency", [bytes(range(200)), 3])
def test_transparent_colours_of_a_palette_are_colours(transparency: bytes | int, paint) -> None:
    image = Image.fromarray(paint(40, 30, 3)).convert("P")
    expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(rgb(saved(image, "PNG", transparency=transparency)), expected)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_of_several_frames_the_first_is_taken(form: str, paint) -> None:
    first, *others = (Image.fromarray(paint(40, 30, k)) for k in range(3))
    options = {"lossless": True} if form == "WEBP" else {"quality": 100} if form == "AVIF" else {}
    data = saved(first, form, save_all=True, append_images=others, **options)
    with Image.open(io.BytesIO(data)) as image:
        assert len([*ImageSequence.Iterator(image)]) == 3
    assert np.array_equal(rgb(data), rgb(saved(first, form, **options)))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
def test_one_pixel_is_an_image(form: str) -> None:
    pixels = rgb(saved(Image.new("RGB", (1, 1), (200, 100, 50)), form))
    assert pixels.shape == (1, 1, 3)
    assert np.abs(pixels[0, 0].astype(int) - (200, 100, 50)).max() <= 4


@pytest.mark.parametrize(
    ("mode", "what"), [("I", "32-bit integers"), ("F", "floating-point"), ("LAB", "Lab")]
)
def test_values_without_one_meaning_are_refused(mode: str, what: str) -> None:
    data = saved(Image.new(mode, (5, 4)), "TIFF")
    with pytest.raises(ValueError, match=f"{what}.*; convert it to 8-bit RGB"):
        rgb(data)


@pytest.mark.parametrize("form", ["EPS", "PPM", "TGA", "ICO", "JPEG2000"])
def test_other_plugins_of_pillows_are_not_tried(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(Image.new("RGB", (5, 4)), form)
    monkeypatch.setattr(Image, "OPEN", {})
    with pytest.raises(ValueError, match=r"^not a JPEG"):
        rgb(data)


def test_pillows_own_limit_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(Image.new("RGB", (50, 40)), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)  # it warns from there, and refuses the double
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rgb(data).shape == (40, 50, 3)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        assert rgb(data).shape == (40, 50, 3)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        with pytest.raises(ValueError, match="the limit is"):
            rgb_image(io.BytesIO(data), Limits(pixels=1999))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
def test_more_pixels_than_allowed_are_not_decoded(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(Image.new("RGB", (50, 40)), form)
    assert rgb_image(io.BytesIO(data), Limits(pixels=2000)).size == (50, 40)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    with pytest.raises(ValueError, match=r"^50×40 are 0.002 megapixels"):
        opened(io.BytesIO(data), Limits(pixels=1999))


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": Image.Exif().tobytes()}])
@pytest.mark.parametrize("size", [(1, 1), (37, 23), (300, 16383)])
def test_the_size_of_a_webp_is_in_its_first_bytes(size: tuple[int, int], options: dict) -> None:
    data = saved(Image.new("RGB", size), "WEBP", **options)
    assert webp_size(data[:64]) == size[::-1]


@pytest.mark.parametrize("cut", [12, 16, 20, 29])
def test_a_webp_cut_off_has_no_size(cut: int) -> None:
    with pytest.raises(ValueError, match="its WebP header is broken"):
        webp_size(saved(Image.new("RGB", (9, 9)), "WEBP")[:cut])
    with pytest.raises(ValueError, match="its WebP header is broken"):
        webp_size(b"RIFF\0\0\0\0WEBPVP9 " + bytes(48))

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from fastffdi.data import headers
from fastffdi.data.headers import image_size, orientation
from fastffdi.errors import UndecodableImage

DATA = os.environ.get("FASTFFDI_TEST_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="FASTFFDI_TEST_DATA names no folder of test images")


def jpeg(size=(37, 23), **options) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, "JPEG", **options)
    return buffer.getvalue()


def exif(value: int, order: str = "<", kind: int = 3) -> bytes:
    """A minimal APP1 segment: one entry before the orientation, then the orientation."""
    code = order + "HHI" + {3: "HH", 4: "I"}[kind]
    entry = struct.pack(code, 0x0112, kind, 1, *([value, 0] if kind == 3 else [value]))
    make = struct.pack(order + "HHI4s", 0x010F, 2, 4, b"abc\0")
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IH", 8, 2)
    return segment(0xE1, b"Exif\0\0" + head + make + entry + b"\0\0\0\0")


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def insert(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


def pillow_size(path: Path) -> tuple[int, int]:
    with Image.open(path, formats=["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"]) as image:
        width, height = ImageOps.exif_transpose(image).size
    return height, width


@pytest.mark.parametrize("kind", [3, 4], ids=["short", "long"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize("value", range(1, 9))
def test_orientation_and_size_equal_pillows(tmp_path, value, order, kind):
    data = insert(jpeg(), exif(value, order, kind))
    (tmp_path / "a.jpg").write_bytes(data)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[ExifTags.Base.Orientation] == value
    assert orientation(data) == value
    assert image_size(str(tmp_path / "a.jpg")) == ((37, 23) if value > 4 else (23, 37))
    assert image_size(str(tmp_path / "a.jpg")) == pillow_size(tmp_path / "a.jpg")


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "JPEG"])
@pytest.mark.parametrize("value", range(1, 9))
def test_every_format_is_turned_as_pillow_turns_it(tmp_path, format, value):
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = value
    Image.new("RGB", (37, 23)).save(tmp_path / "a", format, exif=tags)
    assert image_size(str(tmp_path / "a")) == pillow_size(tmp_path / "a")
    assert image_size(str(tmp_path / "a")) == ((37, 23) if value > 4 else (23, 37))


def test_a_png_may_tell_its_orientation_behind_its_pixels(tmp_path):
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6
    Image.effect_noise((300, 200), 90).save(tmp_path / "a.png", exif=tags)
    data = (tmp_path / "a.png").read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    tail = data.index(b"IEND") - 4
    (tmp_path / "b.png").write_bytes(data[:start] + data[end:tail] + data[start:end] + data[tail:])
    assert image_size(str(tmp_path / "b.png")) == pillow_size(tmp_path / "b.png") == (300, 200)


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"subsampling": 2}, {"quality": 1}, {"restart_marker_rows": 1}]
)
def test_kinds_of_jpeg(tmp_path, options):
    (tmp_path / "a.jpg").write_bytes(jpeg(**options))
    assert image_size(str(tmp_path / "a.jpg")) == (23, 37)


@pytest.mark.parametrize("padding", [0, 5_000, 60_000, 65_000])
@pytest.mark.parametrize("segments", [1, 20])
def test_headers_of_any_length(tmp_path, padding, segments):
    data = insert(jpeg(), *[segment(0xE2, bytes(padding))] * segments, exif(8))
    (tmp_path / "a.jpg").write_bytes(data)
    assert image_size(str(tmp_path / "a.jpg")) == (37, 23)
    assert orientation(data) == 8


@pytest.mark.parametrize(
    "segments",
    [
        [],
        [segment(0xCC, bytes(16))],  # arithmetic coding's tables, no frame
        [b"\xff\xd0", b"\xff\x01"],  # markers without a length
        [segment(0xE2, bytes(65_000))] * 20,
    ],
    ids=["plain", "DAC", "bare", "long"],
)
def test_plain_jpegs_never_reach_pillow(tmp_path, monkeypatch, segments):
    monkeypatch.setattr(headers, "_pillow_size", None)
    (tmp_path / "a.jpg").write_bytes(insert(jpeg(), *segments, exif(6)))
    assert image_size(str(tmp_path / "a.jpg")) == (37, 23)


def test_of_a_plain_jpeg_4_kib_are_read(tmp_path):
    (tmp_path / "a.jpg").write_bytes(insert(jpeg(), exif(6)) + bytes(1 << 20))
    with (tmp_path / "a.jpg").open("rb", buffering=0) as file:
        assert headers._jpeg_size(file) == (37, 23)
        assert file.tell() == 4096


def frame(height: int, width: int, components: int) -> bytes:
    each = b"".join(bytes([k + 1, 0x11, 0]) for k in range(components))
    return segment(0xC0, struct.pack(">BHHB", 8, height, width, components) + each)


def without_height(data: bytes) -> bytes:
    start = data.index(b"\xff\xc0") + 5
    return data[:start] + b"\0\0" + data[start + 2 :]


@pytest.mark.parametrize(
    "data",
    [insert(jpeg(), frame(99, 88, 2)), without_height(jpeg())],
    ids=["a second frame", "no height"],
)
def test_what_pillow_refuses_has_no_size(tmp_path, data):
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(UnidentifiedImageError):
        pillow_size(tmp_path / "a.jpg")
    with pytest.raises(UndecodableImage, match="its JPEG header is broken"):
        image_size(str(tmp_path / "a.jpg"))


def test_orientation_without_a_valid_one_is_upright():
    plain = jpeg()
    junk = segment(0xE1, b"Exif\0\0")
    for data in (b"", b"\xff\xd8", plain, plain[:30], b"\x89PNG" + exif(6), insert(plain, junk)):
        assert orientation(data) == 1
    for value in (0, 9, 65535):
        assert orientation(insert(plain, exif(value))) == 1


def test_orientation_of_a_jpeg_cut_anywhere():
    data = insert(jpeg(), exif(6))
    found = [orientation(data[:cut]) for cut in range(len(data))]
    assert set(found) == {1, 6}
    assert found == sorted(found)


@pytest.mark.parametrize("end", [b"\xff\xda", b"\xff\xd9"])
def test_without_a_scan_a_jpeg_has_no_size_but_an_orientation(end):
    before = insert(jpeg(), exif(6)).partition(b"\xff\xda")[0]
    size, (first, last), reached = headers._scan(before + end + b"\0" * 8)
    assert (size, reached) == (((23, 37), True) if end == b"\xff\xda" else (None, False))
    assert last - first == len(exif(6)) - len(segment(0xE1, b"Exif\0\0"))
    assert headers._scan(before)[::2] == (None, False)


def test_an_orientation_is_one_value():
    one = exif(6)
    two = one.replace(struct.pack("<HHI", 0x0112, 3, 1), struct.pack("<HHI", 0x0112, 3, 2))
    assert two != one
    assert (orientation(insert(jpeg(), one)), orientation(insert(jpeg(), two))) == (6, 1)


def test_orientation_in_odd_places():
    plain, xmp = jpeg(), segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b'<x tiff:Orientation="3"/>')
    twice = segment(0xE1, b"Exif\0\0" + exif(6)[4:])
    frame = plain.index(b"\xff\xc0")
    assert orientation(insert(plain, xmp)) == 1
    assert orientation(insert(plain, xmp, exif(6))) == 6
    assert orientation(insert(plain, exif(6), exif(3))) == 6
    assert orientation(insert(plain, twice)) == 6
    assert orientation(insert(plain, b"\xff\xff", exif(6))) == 6
    assert orientation(plain[:frame] + exif(6) + plain[frame:]) == 6
    assert orientation(insert(plain, segment(0xFE, exif(6)))) == 1  # inside a comment


@given(st.binary(max_size=80), st.integers(0, 60), st.integers(0, 60))
def test_orientation_of_any_bytes_is_1_to_8(noise: bytes, start: int, cut: int):
    data = insert(jpeg(), exif(6))
    broken = data[:start] + noise + data[start + cut :]
    for hostile in (
        noise,
        b"\xff\xd8" + noise,
        broken,
        b"\xff\xd8" + segment(0xE1, b"Exif\0\0II*\0" + noise),
    ):
        assert 1 <= orientation(hostile) <= 8


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello", "not a JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF image"),
        (b"\xff\xd8\xff\xe0\0\x10", "Truncated File Read"),
    ],
)
def test_no_image(tmp_path, content, reason):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(UndecodableImage) as error:
        image_size(str(path))
    assert str(error.value) == str(UndecodableImage(str(path), reason))
    assert error.value.path == str(path)


def test_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("none", "No such file or directory"), ("", "not a file"), ("pipe", "not a file")):
        path = str(tmp_path / name)
        with pytest.raises(UndecodableImage) as error:
            image_size(path)
        assert str(error.value) == str(UndecodableImage(path, reason))


def test_a_size_is_told_however_large(tmp_path):
    data = bytearray(jpeg())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xff\xfe\xff\xfd"
    (tmp_path / "a.jpg").write_bytes(data)
    assert image_size(str(tmp_path / "a.jpg")) == (65534, 65533)


def test_of_a_webp_the_decoder_is_not_started(tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.WebPImagePlugin.WebPImageFile", None)
    monkeypatch.setattr(headers, "opened", None)
    tags = Image.Exif()
    for turned, size in ((1, (23, 37)), (6, (37, 23))):
        tags[ExifTags.Base.Orientation] = turned
        Image.new("RGB", (37, 23)).save(tmp_path / "a", "WEBP", exif=tags, icc_profile=b"odd")
        assert image_size(str(tmp_path / "a")) == size


@needs_data
def test_conformance_images_have_pillows_size_and_orientation():
    checked = 0
    for path in sorted(Path(DATA or "", "conformance").glob("*.jp*g")):
        try:
            expected = pillow_size(path)
        except OSError:
            continue  # lossless JPEGs, which Pillow does not read
        with Image.open(path) as image:
            assert orientation(path.read_bytes()) == (image.getexif().get(0x0112) or 1), path.name
        assert image_size(str(path)) == expected, path.name
        checked += 1
    assert checked > 40


@needs_data
def test_hostile_files_give_pillows_size_or_undecodable_and_little_is_allocated():
    files = sorted(Path(DATA or "", "malformed").iterdir())
    tracemalloc.start()
    found = {path: _size_or_none(path) for path in files}
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 32 << 20
    decodable = {path: size for path in files if (size := _decoded_size(path))}
    assert len(decodable) > 10
    assert {path: found[path] for path in decodable} == decodable


def _size_or_none(path: Path) -> tuple[int, int] | None:
    orientation(path.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return image_size(str(path))
        except UndecodableImage:
            return None


def _decoded_size(path: Path) -> tuple[int, int] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pillow_size(path)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None

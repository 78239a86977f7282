import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fastffdi.data.formats import FORMATS, HEAD_BYTES, format_of, unknown


def head(form: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (7, 5)).save(file, form, **options)
    return file.getvalue()[:HEAD_BYTES]


@pytest.mark.parametrize("form", FORMATS)
def test_formats_are_known_by_their_first_bytes(form: str) -> None:
    assert format_of(head(form)) == form


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("TIFF", {"big_tiff": True}),
        ("MPO", {"save_all": True}),
        ("PNG", {"save_all": True, "append_images": [Image.new("RGB", (7, 5), "red")]}),
        ("AVIF", {"save_all": True, "append_images": [Image.new("RGB", (7, 5), "red")]}),
    ],
)
def test_so_are_their_variants(form: str, options: dict) -> None:
    assert format_of(head(form, **options)) == {"MPO": "JPEG"}.get(form, form)
    assert format_of(b"MM\0*" + bytes(60)) == "TIFF"


@pytest.mark.parametrize("form", ["EPS", "PPM", "TGA", "ICO", "PCX", "SGI", "JPEG2000", "PDF", "DDS"])
def test_what_pillow_reads_besides_has_no_format(form: str) -> None:
    assert format_of(head(form)) is None
    assert unknown(head(form)) == "not a JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF image"


def brands(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return (len(body) + 4).to_bytes(4, "big") + body + b"\0\0\0\x20avif"


def test_of_the_heif_family_only_avif_is_read() -> None:
    assert format_of(brands(b"avif", b"mif1")) == "AVIF"
    assert format_of(brands(b"mif1", b"miaf", b"avif")) == "AVIF"
    assert format_of(brands(b"avis")) == "AVIF"
    for other in (brands(b"heic", b"mif1"), brands(b"mif1", b"heic"), brands(b"isom", b"mp42")):
        assert format_of(other) is None
    assert unknown(brands(b"mif1", b"heic")) == "HEIC, which no loader reads; convert it to PNG"
    assert unknown(brands(b"isom")).startswith("not a JPEG")


def test_a_text_that_begins_with_bm_is_no_bmp() -> None:
    assert format_of(b"BM") is None
    assert format_of(b"BMW builds cars in Munich, among other places") is None


def test_an_empty_file_is_called_empty() -> None:
    assert unknown(b"") == "the file is empty"


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_have_a_format_or_a_reason(data: bytes) -> None:
    assert format_of(data) in (None, *FORMATS)
    assert format_of(b"\0\0\0\x10ftyp" + data) in (None, "AVIF")
    assert unknown(data)

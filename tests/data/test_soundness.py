import io
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fastffdi.data.formats import HEAD_BYTES, format_of
from fastffdi.data.soundness import is_sound


def saved(form: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").resize((50, 40)).save(file, form, **options)
    return file.getvalue()


SOUND = {
    "JPEG": saved("JPEG"),
    "JPEG, progressive": saved("JPEG", progressive=True, comment=b"\xff\xda"),
    "JPEG, restarts": saved("JPEG", restart_marker_blocks=2),
    "PNG": saved("PNG"),
    "WebP": saved("WEBP"),
}
KINDS = pytest.mark.parametrize("kind", SOUND)


def sound(data: bytes, kind: str) -> bool:
    return is_sound(data, kind.partition(",")[0])


@KINDS
def test_a_whole_file_is_sound_and_what_comes_after_it_does_not_matter(kind: str) -> None:
    assert sound(SOUND[kind], kind)
    assert sound(SOUND[kind] + b"\xff\xc0 and more", kind)


@KINDS
def test_a_file_cut_short_is_not(kind: str) -> None:
    data = SOUND[kind]
    least = 1 if kind != "WebP" else len(data) % 2 + 1  # a padding byte is not missed
    assert not any(sound(data[:cut], kind) for cut in range(12, len(data) - least))


@pytest.mark.parametrize("form", ["BMP", "GIF", "TIFF", "AVIF"])
def test_of_other_formats_nothing_is_known(form: str) -> None:
    assert not is_sound(saved(form), form)


def frame_of(data: bytes) -> int:
    return data.index(b"\xff\xc0")


def test_a_jpeg_has_one_frame_of_eight_bits() -> None:
    data = SOUND["JPEG"]
    at = frame_of(data)
    assert not is_sound(data[:at] + data[at : at + 19] + data[at:], "JPEG")
    for marker, bits in ((0xC0, 12), (0xC3, 8), (0xC9, 8), (0x01, 8)):
        changed = bytearray(data)
        changed[at + 1], changed[at + 4] = marker, bits
        assert not is_sound(bytes(changed), "JPEG")


@given(st.integers(0), st.sampled_from([*range(1, 0xD0), 0xD8, *range(0xDB, 0xFF)]))
def test_a_marker_among_the_pixels_is_noticed(place: int, marker: int) -> None:
    data = SOUND["JPEG"]
    scan = data.index(b"\xff\xda") + 14
    at = scan + place % (len(data) - 4 - scan)
    known = {0xC4, 0xDA, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)}  # may be a segment between two scans
    assert marker in known or not is_sound(data[:at] + bytes([1, 0xFF, marker, 1]) + data[at:], "JPEG")


@given(st.integers(8), st.integers(1, 255))
def test_a_changed_byte_of_a_png_is_noticed(place: int, change: int) -> None:
    data = bytearray(SOUND["PNG"])
    data[8 + place % (len(data) - 8)] ^= change
    assert not is_sound(bytes(data), "PNG")


def test_chunks_of_a_png_that_nobody_knows_do_not_matter() -> None:
    data, body = SOUND["PNG"], b"fooLabc"
    chunk = (3).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    assert is_sound(data[:33] + chunk + data[33:], "PNG")


@given(st.binary(max_size=60), st.sampled_from(["JPEG", "PNG", "WebP"]))
def test_any_bytes_get_an_answer(noise: bytes, form: str) -> None:
    head = SOUND[form][:8]
    assert is_sound(noise, form) in (True, False)
    assert is_sound(head + noise, form) in (True, False)


@pytest.mark.parametrize("folder", ["photos", "large"])
def test_photographs_are_sound(folder: str, test_data: Path) -> None:
    for path in sorted((test_data / folder).iterdir())[:50]:
        data = path.read_bytes()
        form = format_of(data[:HEAD_BYTES])
        assert form is None or is_sound(data, form), path.name

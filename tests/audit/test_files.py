import numpy as np
import pytest
from PIL import Image
from planted import encoded, jpeg, photo

from fastffdi.audit.facts import FORMATS, MODES, PROBLEMS
from fastffdi.audit.files import inspect
from fastffdi.render.cpu.decode import decode_path


def named(inspected) -> dict[str, object]:
    problem, format, height, width, mode, _, _, animated, turned, exif, full, *_ = inspected.facts
    return {
        "problem": PROBLEMS[problem],
        "format": FORMATS[format],
        "size": (height, width),
        "mode": MODES[mode],
        "animated": animated,
        "turned": turned,
        "exif": exif,
        "full": full,
    }


@pytest.fixture
def look(tmp_path):
    """look(data, full): what is said of a file of these bytes."""

    def look(data: bytes, full: bool) -> dict[str, object]:
        path = tmp_path / "image"
        path.write_bytes(data)
        return named(inspect(str(path), len(data), full))

    return look


def animation(format: str) -> bytes:
    frames = [Image.fromarray(photo(k)) for k in range(3)]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:])


def bomb() -> bytes:
    """A PNG that says it has 60000×60000 pixels."""
    data = encoded(photo(1), "PNG")
    return data[:16] + (60000).to_bytes(4, "big") * 2 + data[24:]


def turned(format: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photo(1, 40, 60), format, exif=exif)


BOTH = [True, False]
RGBA = np.dstack([photo(1), photo(2)[..., :1]])


@pytest.mark.parametrize("full", BOTH)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF", "AVIF"])
def test_the_format_is_that_of_the_content(look, format, full):
    found = look(encoded(photo(1, 40, 60), format), full)
    assert (found["problem"], found["format"], found["size"]) == ("", format, (40, 60))
    assert found["full"] == full


@pytest.mark.parametrize("full", BOTH)
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b"hello, no image", "not an image"),
        (jpeg(1)[:-200], "truncated"),
        (jpeg(1)[:100], "truncated"),
        (encoded(photo(1), "PNG")[:-200], "truncated"),
        (encoded(photo(1), "WebP")[:-200], "truncated"),
        (bomb(), "oversized"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40 + b"IEND", "undecodable"),
    ],
    ids=["empty", "text", "jpeg", "jpeg header", "png", "webp", "bomb", "broken png"],
)
def test_a_faulty_file_is_named(look, data, problem, full):
    assert look(data, full)["problem"] == problem


def test_damage_within_is_found_by_decoding_alone(look):
    data = bytearray(encoded(photo(1), "PNG"))
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    assert [look(bytes(data), full)["problem"] for full in (False, True)] == ["", "undecodable"]


def test_an_absent_end_is_no_fault_where_the_decoder_does_without(look, tmp_path):
    odd = jpeg(1)[:-2]
    (tmp_path / "odd").write_bytes(odd)
    try:
        decode_path(str(tmp_path / "odd"))
        expected = ""
    except Exception:
        expected = "truncated"
    assert look(odd, True)["problem"] == expected
    assert look(odd, False)["problem"] == "truncated"


def test_what_comes_after_the_end_is_no_fault(look):
    assert [look(jpeg(1) + bytes(5000), full)["problem"] for full in BOTH] == ["", ""]


@pytest.mark.parametrize("full", BOTH)
@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (encoded(Image.fromarray(photo(1)).convert("L"), "JPEG"), "grey"),
        (encoded(Image.fromarray(photo(1)).convert("CMYK"), "JPEG"), "CMYK"),
        (encoded(Image.fromarray(photo(1)).convert("L"), "PNG"), "grey"),
        (encoded(RGBA, "PNG"), "alpha"),
        (encoded(RGBA, "WebP"), "alpha"),
        (encoded(Image.fromarray(photo(1)).convert("P"), "PNG"), "palette"),
        (encoded(Image.fromarray(photo(1)[..., 0].astype(np.uint16) * 257), "PNG"), "16 bit"),
        (encoded(Image.fromarray(photo(1)[..., 0].astype(np.uint16) * 257), "TIFF"), "16 bit"),
        (encoded(photo(1), "PNG"), "RGB"),
    ],
    ids=range(9),
)
def test_how_pixels_are_stored_is_named(look, data, mode, full):
    found = look(data, full)
    assert (found["problem"], found["mode"]) == ("", mode)


@pytest.mark.parametrize("full", BOTH)
@pytest.mark.parametrize("format", ["GIF", "PNG", "WebP"])
def test_an_animation_is_named(look, format, full):
    assert look(animation(format), full)["animated"]
    assert not look(encoded(photo(1), format), full)["animated"]


@pytest.mark.parametrize("full", BOTH)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WebP", "TIFF"])
def test_a_turned_file_is_named_and_its_size_is_that_which_is_seen(look, format, full):
    found = look(turned(format), full)
    assert (found["turned"], found["exif"], found["size"]) == (6, True, (60, 40))


def test_a_folder_a_pipe_and_an_absent_file_are_unreadable(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        assert named(inspect(str(path), 10, False))["problem"] == "unreadable"


def test_a_camera_header_of_many_kilobytes_is_read_quickly_as_well(look):
    exif = Image.Exif()
    exif[0x010E] = "x" * 60_000
    found = look(encoded(photo(1, 40, 60), exif=exif, comment=b"y" * 60_000), False)
    assert (found["size"], found["exif"]) == ((40, 60), True)


def test_a_full_look_agrees_with_the_decoder_on_every_malformed_file(test_data):
    for path in sorted((test_data / "malformed").iterdir()):
        found = named(inspect(str(path), path.stat().st_size, True))
        try:
            size = decode_path(str(path)).shape[:2]
        except Exception:
            assert found["problem"], path
        else:
            assert (found["problem"], found["size"]) == ("", size), path


def test_a_hash_is_of_the_bytes_and_only_of_what_was_decoded(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(1))
    size = path.stat().st_size
    assert inspect(str(path), size, False).facts[11] == b""
    first = inspect(str(path), size, True).facts[11]
    path.write_bytes(jpeg(2))
    assert len(first) == 16
    assert inspect(str(path), path.stat().st_size, True).facts[11] != first

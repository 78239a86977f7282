import io
import re
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_memory import InMemory
from PIL import Image

from fastffdi.data.limits import LIMITS, Limits
from fastffdi.data.refusal import checked_header, refusal
from fastffdi.data.source import FileSource
from fastffdi.render.cpu.decode import decode

FORMS = ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"]
TOO_LARGE = re.compile("60000×60000 are 3,600 megapixels, .+ 178.96|16000×16000 are 256 megapixels, .+")


def of_bytes(data: bytes, limits: Limits = LIMITS) -> str | None:
    return refusal("a", limits, InMemory(data))


def saved(form: str, size: tuple[int, int] = (50, 40), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, form, **options)
    return file.getvalue()


def claiming(form: str, width: int, height: int) -> bytes:
    """A small image of that format whose header says another size."""
    data = bytearray(saved(form))
    if form == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", height, width)
    elif form == "PNG":
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif form == "BMP":
        data[18:26] = struct.pack("<ii", width, height)
    elif form == "GIF":
        data[6:10] = struct.pack("<HH", width, height)
    elif form == "AVIF":
        at = data.index(b"ispe") + 8
        data[at : at + 8] = struct.pack(">II", width, height)
    return bytes(data)


def tiff(width: int, height: int) -> bytes:
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in [*tags, (279, 100)])
    return b"II*\0" + struct.pack("<IH", 8, 9) + entries + bytes(104)


def webp(width: int, height: int) -> bytes:
    body = b"VP8X" + struct.pack("<II", 10, 0) + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


BOMBS = {form: claiming(form, 60_000, 60_000) for form in ("JPEG", "PNG", "BMP", "GIF")}
BOMBS["AVIF"] = claiming("AVIF", 16_000, 16_000)  # libavif itself allows 16384 × 16384
BOMBS |= {"TIFF": tiff(60_000, 60_000), "WEBP": webp(60_000, 60_000)}


@pytest.mark.parametrize("form", FORMS)
def test_against_an_image_there_is_nothing(form: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(saved(form))
    assert refusal(str(tmp_path / "a")) is None
    assert of_bytes(saved(form)) is None


@pytest.mark.parametrize("form", FORMS)
def test_a_header_that_claims_too_much_is_refused_and_no_decoder_called(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(BOMBS[form])
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    monkeypatch.setattr("PIL._webp.WebPAnimDecoder", None)
    monkeypatch.setattr("simplejpeg.decode_jpeg", None)
    tracemalloc.start()
    reasons = refusal(str(tmp_path / "a")), of_bytes(BOMBS[form])
    with pytest.raises(ValueError, match=TOO_LARGE):
        decode(BOMBS[form])
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(TOO_LARGE.fullmatch(reason or "") for reason in reasons)
    assert peak_bytes < 1 << 20


def test_a_long_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.write(saved("JPEG"))
        file.truncate(1 << 30)
    monkeypatch.setattr(FileSource, "open", None)
    monkeypatch.setattr(FileSource, "read", None)
    assert refusal(str(tmp_path / "a.jpg")) == "1,024 MiB, at most 512 MiB are read"


def test_limits_are_the_callers() -> None:
    data = saved("PNG")
    assert of_bytes(data, Limits(pixels=2000, file_bytes=len(data))) is None
    assert "megapixels" in (of_bytes(data, Limits(pixels=1999)) or "")
    assert "MiB" in (of_bytes(data, Limits(file_bytes=len(data) - 1)) or "")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello", "not a JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF image"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "not a JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF image",
        ),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC, which no loader reads; convert it to PNG"),
        (saved("WEBP")[:18], "its WebP header is broken"),
        (claiming("PNG", 0, 40), "0×40 pixels"),
    ],
)
def test_what_is_no_image_is_refused_with_its_reason(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    assert of_bytes(data) == refusal(str(tmp_path / "a.jpg")) == reason


@pytest.mark.parametrize("form", FORMS)
def test_a_header_cut_off_is_refused(form: str) -> None:
    assert of_bytes(saved(form)[:22])


def test_a_jpeg_of_two_frames_is_refused() -> None:
    one, other = saved("JPEG"), BOMBS["JPEG"]
    at = other.index(b"\xff\xc0")
    frame = other[at : at + 19]
    start = one.index(b"\xff\xc0")
    for data in (one[:start] + frame + one[start:], one[: start + 19] + frame + one[start + 19 :]):
        assert of_bytes(data) == "its JPEG header is broken: not one frame of 8 bits with pixels"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert refusal(str(tmp_path / "absent")) == "No such file or directory"
    assert refusal(str(tmp_path)) == "not a file"


@given(st.binary(max_size=100), st.sampled_from(sorted(BOMBS)), st.integers(0, 80), st.integers(0, 40))
def test_any_bytes_are_refused_in_one_line_or_not(noise: bytes, form: str, start: int, cut: int) -> None:
    for data in (noise, BOMBS[form][:start] + noise + BOMBS[form][start + cut :]):
        reason = of_bytes(data)
        assert reason is None or reason == " ".join(reason.split()) != ""


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_of_hostile_files_none_that_pillow_decodes_is_refused(test_data: Path) -> None:
    refused = 0
    for path in sorted((test_data / "malformed").iterdir()):
        reason = refusal(str(path))
        if reason is not None:
            refused += 1
            with pytest.raises(Exception):  # noqa: B017, PT011
                decode(path.read_bytes())
    assert refused > 10


@pytest.mark.parametrize("form", FORMS)
def test_the_header_is_told(form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if form in ("JPEG", "PNG", "WEBP") else {}
    name = "WebP" if form == "WEBP" else form
    assert checked_header("a", source=InMemory(saved(form, **options))) == (name, 40, 50, False)


@pytest.mark.parametrize("form", FORMS)
def test_dali_is_not_given_what_only_pillow_reads(form: str) -> None:
    header = checked_header("a", source=InMemory(saved(form)))
    assert header.only_pillow == (form in ("GIF", "AVIF", "BMP", "TIFF"))
    if form in ("JPEG", "BMP"):  # which have one frame
        return
    frames = [Image.new("RGB", (50, 40), colour) for colour in ("red", "blue")]
    several = saved(form, save_all=True, append_images=frames, icc_profile=bytes(9000))
    header = checked_header("a", source=InMemory(several))
    assert header.only_pillow == (form in ("GIF", "AVIF", "BMP", "TIFF", "PNG"))

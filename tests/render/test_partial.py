import io
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fastffdi.recipe.kernels import Flip, Kernel, Part, Resize, Window
from fastffdi.recipe.program import EMPTY, Program
from fastffdi.render.cpu import partial
from fastffdi.render.cpu.decode import SourceDecoder, decode
from fastffdi.render.cpu.partial import decode_part
from fastffdi.render.cpu.renderer import render

pytest.importorskip("nvidia.nvimgcodec")

HEIGHT, WIDTH = 150, 203
KINDS = {
    "4:4:4": {"subsampling": "4:4:4"},
    "4:2:2": {"subsampling": "4:2:2"},
    "4:2:0": {"subsampling": "4:2:0"},
    "4:1:1": {"colorsubsampling": "411"},
    "4:4:0": {"colorsubsampling": "440"},
    "grey": {"grey": True},
    "progressive": {"subsampling": "4:2:0", "progressive": True},
    "low quality": {"subsampling": "4:2:0", "quality": 15},
    "restarts": {"subsampling": "4:2:0", "restart_marker_blocks": 3},
}


def encoded(image: np.ndarray, grey: bool = False, **options) -> bytes:
    if "colorsubsampling" in options:  # which Pillow does not write
        return simplejpeg.encode_jpeg(image, **options)
    written = io.BytesIO()
    Image.fromarray(image).convert("L" if grey else "RGB").save(written, "jpeg", **options)
    return written.getvalue()


@cache
def files() -> dict[str, tuple[bytes, np.ndarray]]:
    """Of every kind an encoded image and its pixels."""
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.uniform(-60, 316, (6, 6, 3)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    image = (smooth + rng.uniform(0, 90, smooth.shape)).clip(0, 255).astype(np.uint8)
    encodings = {kind: encoded(image, **options) for kind, options in KINDS.items()}
    return {kind: (data, decode(data)) for kind, data in encodings.items()}


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are decoded by themselves however large they are."""
    monkeypatch.setattr(partial, "_WORTHWHILE", 1.0)


@pytest.fixture
def parts_seen(monkeypatch: pytest.MonkeyPatch) -> list[Part]:
    """The parts that are decoded by themselves."""
    seen, decoded = [], partial._decoded

    def spy(data: bytes, part: Part) -> np.ndarray | None:
        seen.append(part)
        return decoded(data, part)

    monkeypatch.setattr(partial, "_decoded", spy)
    return seen


@pytest.mark.parametrize("kind", KINDS)
@given(
    st.lists(st.integers(0, HEIGHT), min_size=2, max_size=2, unique=True).map(sorted),
    st.integers(0, WIDTH - partial._NARROWEST),
    st.integers(partial._NARROWEST, WIDTH),
)
@settings(max_examples=60, deadline=None)
def test_a_part_has_the_bits_of_the_whole(kind: str, rows: list[int], left: int, width: int) -> None:
    data, whole = files()[kind]
    part = Part(rows[0], left, rows[1], min(left + width, WIDTH))
    pixels = partial._decoded(data, part)
    assert pixels is not None
    assert np.array_equal(pixels, whole[part.slices])


def test_a_part_is_in_its_place() -> None:
    data, whole = files()["4:2:0"]
    part = Part(20, 31, 70, 150)
    image = decode_part(data, part, HEIGHT, WIDTH)
    assert image is not None
    assert image.shape == whole.shape
    assert np.array_equal(image[part.slices], whole[part.slices])


@pytest.mark.parametrize(
    ("part", "cost"),
    [
        (Part(0, 0, 150, 203), 1),
        (Part(0, 0, 75, 203), 0.5),
        (Part(75, 0, 150, 203), 0.8 + 0.1),
        (Part(0, 0, 30, 0), 0.16),
    ],
)
def test_a_part_costs_the_rows_down_to_its_end_and_its_pixels(part: Part, cost: float) -> None:
    assert partial._cost(part, HEIGHT, WIDTH) == pytest.approx(cost)


@pytest.mark.parametrize(
    "part", [Part(0, 0, 150, 203), Part(5, 0, 150, 203), Part(9, 9, 9, 90), Part(0, 0, 40, 31)]
)
def test_a_part_that_saves_nothing_is_left_to_the_whole_decoder(part: Part, parts_seen) -> None:
    assert decode_part(files()["4:4:4"][0], part, HEIGHT, WIDTH) is None
    assert parts_seen == []


@pytest.mark.parametrize("damage", [lambda data: data[:-40], lambda data: data + b"stray"])
def test_a_file_that_does_not_end_as_it_should_is_left_to_the_whole_decoder(damage, parts_seen) -> None:
    assert decode_part(damage(files()["4:4:4"][0]), Part(0, 0, 40, 60), HEIGHT, WIDTH) is None
    assert parts_seen == []


def test_without_nvimagecodec_images_are_decoded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial, "_codec", lambda: None)
    data, whole = files()["4:2:2"]
    assert np.array_equal(decode(data, wanted=lambda height, width: Part(0, 0, 40, 60)), whole)


def test_what_nvimagecodec_refuses_is_decoded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial, "_decoded", lambda data, part: None)
    data, whole = files()["4:2:2"]
    assert np.array_equal(decode(data, wanted=lambda height, width: Part(0, 0, 40, 60)), whole)


def test_an_error_of_nvimagecodecs_means_decoding_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(data: bytes) -> None:
        raise RuntimeError("Failed to get image info")

    monkeypatch.setattr(partial, "_codec", lambda: SimpleNamespace(CodeStream=refuse))
    data, whole = files()["4:4:4"]
    assert np.array_equal(decode(data, wanted=lambda height, width: Part(0, 0, 40, 60)), whole)


def outcome(data: bytes, **more) -> np.ndarray | type[Exception]:
    try:
        return decode(data, **more)
    except Exception as error:
        return type(error)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_what_can_be_decoded_whole_can_be_decoded_in_part(test_data: Path, always) -> None:
    def upper(height: int, width: int) -> Part:
        return Part(0, 0, max(1, height // 2), width)

    for folder in ("malformed", "conformance"):
        for path in sorted(path for path in (test_data / folder).iterdir() if path.suffix != ".txt"):
            data = path.read_bytes()
            whole, ours = outcome(data), outcome(data, wanted=upper)
            if isinstance(whole, np.ndarray):
                assert isinstance(ours, np.ndarray), path.name
                assert ours.shape == whole.shape, path.name


SIZE = np.array([[40, 60]], np.int32)
FIRST = {
    "resize of a region": (Resize(np.array([[0.1, 0.2, 0.5, 0.9]], np.float32), SIZE), Part(15, 41, 75, 183)),
    "resize, flipped": (Resize(np.array([[0.5, 0.9, 0.1, 0.2]], np.float32), SIZE), Part(15, 41, 75, 183)),
    "window": (Window(np.array([[30, 100]], np.int32), SIZE), Part(30, 100, 70, 160)),
    "window to the edge": (Window(np.array([[0, 143]], np.int32), SIZE), Part(0, 143, 40, 203)),
    "window beyond the edge": (Window(np.array([[0, 144]], np.int32), SIZE), None),
    "window above": (Window(np.array([[-1, 9]], np.int32), SIZE, mode="reflect"), None),
    "whole resize": (Resize(np.array([[0, 0, 1, 1]], np.float32), SIZE), None),
    "flip": (Flip(np.array([True]), np.array([False])), None),
}


@pytest.mark.parametrize("name", FIRST)
@pytest.mark.parametrize("kind", KINDS)
def test_a_decoder_decodes_what_the_first_kernel_reads(
    name: str, kind: str, tmp_path: Path, parts_seen: list[Part]
) -> None:
    kernel, part = FIRST[name]
    data, whole = files()[kind]
    (tmp_path / "a.jpg").write_bytes(data)
    program = Program((kernel,))
    image = SourceDecoder()(0, str(tmp_path / "a.jpg"), EMPTY, program, 0)
    assert parts_seen == ([] if part is None else [part])
    assert np.array_equal(render(image, program, 0), render(whole, program, 0))


def test_nothing_to_do_needs_the_whole_image(tmp_path: Path) -> None:
    data, whole = files()["4:4:4"]
    (tmp_path / "a.jpg").write_bytes(data)
    assert np.array_equal(SourceDecoder()(0, str(tmp_path / "a.jpg"), EMPTY, EMPTY, 0), whole)


@pytest.mark.parametrize("turned", range(2, 9))
def test_what_is_stored_turned_is_decoded_whole(turned: int, parts_seen: list[Part]) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    data = encoded(files()["4:4:4"][1], exif=exif)
    assert np.array_equal(decode(data, wanted=lambda height, width: Part(0, 0, 40, 60)), decode(data))
    assert parts_seen == []


def test_what_is_reduced_is_decoded_whole(tmp_path: Path, parts_seen: list[Part]) -> None:
    (tmp_path / "a.jpg").write_bytes(files()["4:4:4"][0])
    small: Kernel = Resize(np.array([[0, 0, 0.5, 0.5]], np.float32), np.array([[12, 20]], np.int32))
    image = SourceDecoder(scaled=True)(0, str(tmp_path / "a.jpg"), EMPTY, Program((small,)), 0)
    assert image.shape == (38, 51, 3)
    assert parts_seen == []


def test_the_photographs_have_the_same_bits_in_parts(test_data: Path, always) -> None:
    rng = np.random.default_rng(1)
    for path in sorted((test_data / "photos").iterdir())[::4]:
        data = path.read_bytes()
        whole = decode(data)
        height, width = whole.shape[:2]
        for _ in range(3):
            top, left = int(rng.integers(0, height // 2)), int(rng.integers(0, width // 2))
            part = Part(top, left, top + height // 3, left + width // 3)
            found = decode(data, wanted=lambda height, width, part=part: part)
            assert np.array_equal(found[part.slices], whole[part.slices]), path.name

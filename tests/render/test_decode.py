import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from fastffdi.data.headers import image_size
from fastffdi.data.limits import Limits
from fastffdi.data.source import FileSource, Identity
from fastffdi.errors import UndecodableImage
from fastffdi.recipe.kernels import Resize
from fastffdi.recipe.program import EMPTY, Program
from fastffdi.render.cpu.decode import Region, SourceDecoder, decode, decode_path, upright

SIZE = (37, 53)
MODES = {
    "jpeg": ["RGB", "L", "CMYK"],
    "png": ["RGB", "L", "RGBA", "LA", "P", "1"],
    "webp": ["RGB", "RGBA"],
    "bmp": ["RGB", "L", "P", "1"],
    "tiff": ["RGB", "L", "RGBA", "P", "1", "CMYK"],
    "gif": ["RGB", "L", "P", "1"],
    "avif": ["RGB", "RGBA"],
}


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    with warnings.catch_warnings(), Image.open(io.BytesIO(data)) as image:
        warnings.simplefilter("ignore")
        if image.mode == "I;16":  # Pillow cuts these off at 255
            return np.rint(np.asarray(image) / 257).astype(np.uint8)[..., None].repeat(3, 2)
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.fixture
def file_image(paint) -> Image.Image:
    return Image.fromarray(paint(*SIZE, 11))


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes], str]:
    def write(data: bytes) -> str:
        (tmp_path / "image").write_bytes(data)
        return str(tmp_path / "image")

    return write


@pytest.mark.parametrize(("form", "mode"), [(form, mode) for form, modes in MODES.items() for mode in modes])
def test_every_kind_of_file_is_bit_identical_to_pillow(form: str, mode: str, file_image: Image.Image) -> None:
    data = saved(file_image.convert(mode), form)
    assert decode(data).shape == (*SIZE, 3)
    assert np.array_equal(decode(data), by_pillow(data))


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 20}, {"optimize": True}])
def test_every_kind_of_jpeg_is_bit_identical_to_pillow(subsampling: str, options: dict, file_image) -> None:
    data = saved(file_image, "jpeg", subsampling=subsampling, **options)
    assert np.array_equal(decode(data), by_pillow(data))


@pytest.mark.parametrize("transparency", [bytes(range(200)), 3])
def test_palettes_with_transparent_colours_are_read_without_a_warning(
    transparency: bytes | int, file_image: Image.Image
) -> None:
    data = saved(file_image.convert("P"), "png", transparency=transparency)
    assert np.array_equal(decode(data), by_pillow(data))


@pytest.mark.parametrize("form", ["jpeg", "png"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("turned", range(10))
def test_orientations_are_pillows(form: str, mode: str, turned: int, file_image: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    data = saved(file_image.convert(mode), form, exif=exif)
    assert decode(data).shape[:2] == (SIZE[::-1] if turned in (5, 6, 7, 8) else SIZE)
    assert np.array_equal(decode(data), by_pillow(data))


@pytest.mark.parametrize(
    ("region", "factor"),
    [
        (Region(1, 1, 37, 53), 1),
        (Region(1, 1, 18, 26), 2),
        (Region(1, 1, 19, 26), 1),  # 37 rows are not twice 19
        (Region(1, 1, 9, 13), 4),
        (Region(0.5, 1, 9, 13), 2),
        (Region(1, 0.25, 9, 13), 1),
        (Region(1, 1, 4, 6), 8),
        (Region(1, 1, 1, 1), 8),
        (Region(1, 1, 80, 80), 1),
    ],
)
def test_a_jpeg_is_reduced_as_far_as_the_region_allows(region: Region, factor: int, file_image) -> None:
    data = saved(file_image, "jpeg")
    assert region.reduction(*SIZE) == factor
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (SIZE[1] // factor, SIZE[0] // factor))
        assert image.size == (-(-SIZE[1] // factor), -(-SIZE[0] // factor))
        assert np.array_equal(decode(data, region), np.asarray(image))


@pytest.mark.parametrize(
    ("roi", "region", "factor"),
    [
        ([0, 0, 1, 1], Region(1, 1, 9, 13), 4),
        ([1, 0, 0, 1], Region(1, 1, 9, 13), 4),
        ([0, 1, 1, 0], Region(1, 1, 9, 13), 4),
        ([0.25, 0, 0.75, 1], Region(0.5, 1, 9, 13), 2),
        ([0, 0.75, 1, 0.25], Region(1, 0.5, 9, 13), 2),
    ],
)
def test_an_image_is_reduced_by_its_own_region(
    roi: list[float], region: Region, factor: int, file_image, written
) -> None:
    data = saved(file_image, "jpeg")
    sizes = np.array([[80, 80], [9, 13], [1, 1]], np.int32)
    program = Program((Resize(np.array([[0, 0, 1, 1], roi, [0, 0, 1, 1]], np.float32), sizes),))
    ours = SourceDecoder(scaled=True)(5, written(data), EMPTY, program, 1)
    assert ours.shape == (-(-SIZE[0] // factor), -(-SIZE[1] // factor), 3)
    assert np.array_equal(ours, decode(data, region))


@pytest.mark.parametrize("turned", range(1, 9))
def test_a_reduced_jpeg_is_turned_as_the_whole_one(turned: int, file_image: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    data = saved(file_image, "jpeg", exif=exif)
    height, width = decode(data).shape[:2]
    reduced = decode(data, Region(1, 1, height // 2, width // 2))
    assert reduced.shape[:2] == (-(-height // 2), -(-width // 2))
    assert decode(data, Region(1, 1, height // 2 + 1, 1)).shape[:2] == (height, width)


def test_what_is_no_jpeg_is_decoded_whole(file_image: Image.Image) -> None:
    assert decode(saved(file_image, "png"), Region(1, 1, 4, 4)).shape[:2] == SIZE


def test_upright_turns_as_the_standard_says() -> None:
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3, 1).repeat(3, 2)
    seen = {turned: upright(stored, turned)[..., 0].tolist() for turned in range(1, 9)}
    assert seen[1] == [[0, 1, 2], [3, 4, 5]]
    assert seen[2] == [[2, 1, 0], [5, 4, 3]]
    assert seen[3] == [[5, 4, 3], [2, 1, 0]]
    assert seen[4] == [[3, 4, 5], [0, 1, 2]]
    assert seen[5] == [[0, 3], [1, 4], [2, 5]]
    assert seen[6] == [[3, 0], [4, 1], [5, 2]]
    assert seen[7] == [[5, 2], [4, 1], [3, 0]]
    assert seen[8] == [[2, 5], [1, 4], [0, 3]]


@pytest.mark.parametrize("form", ["jpeg", "png"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_a_truncated_file_is_refused_by_its_name(form: str, share: float, file_image, written) -> None:
    data = saved(file_image, form)
    path = written(data[: int(len(data) * share)])
    with pytest.raises(UndecodableImage, match=r"/image: cannot be decoded \(.+\); replace the file"):
        decode_path(path)


@pytest.mark.parametrize(
    "data", [b"\xff\xd8", b"hello", b"<svg/>", b"P6 1 1 255\n123", b"%!PS-Adobe-3.0 EPSF-3.0\n"]
)
def test_what_is_no_image_is_called_so(data: bytes, written) -> None:
    with pytest.raises(UndecodableImage, match=r"cannot be decoded \(not a JPEG, PNG, WebP, .+ image\)"):
        decode_path(written(data))


def test_an_absent_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UndecodableImage, match=r"absent: cannot be decoded \(No such file or directory\)"):
        decode_path(str(tmp_path / "absent"))
    with pytest.raises(UndecodableImage, match=r"cannot be decoded \(not a file\)"):
        decode_path(str(tmp_path))


def test_an_image_that_would_fill_the_memory_is_refused(file_image: Image.Image, written) -> None:
    data = saved(file_image, "jpeg")
    claim = data.index(b"\xff\xc0") + 5
    data = data[:claim] + b"\xff\xdc\xff\xdc" + data[claim + 4 :]
    with pytest.raises(UndecodableImage, match=r"\(65500×65500 are 4,290.2 megapixels, the limit is"):
        decode_path(written(data))


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff"])
def test_a_decoder_has_limits_of_its_own(form: str, file_image: Image.Image, written) -> None:
    path = written(saved(file_image, form))
    exactly, less = Limits(pixels=SIZE[0] * SIZE[1]), Limits(pixels=SIZE[0] * SIZE[1] - 1)
    assert SourceDecoder(limits=exactly)(0, path, EMPTY, EMPTY, 0).shape[:2] == SIZE
    with pytest.raises(UndecodableImage, match=r"53×37 are 0.001961 megapixels"):
        SourceDecoder(limits=less)(0, path, EMPTY, EMPTY, 0)


def test_a_file_too_long_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "image").open("wb") as file:
        file.truncate(1 << 30)
    monkeypatch.setattr(FileSource, "read", None)
    with pytest.raises(UndecodableImage, match=r"image: cannot be decoded \(1,024 MiB, at most 512 MiB are"):
        decode_path(str(tmp_path / "image"))


class InMemory:
    """A source of images that are no files."""

    def __init__(self, **images: bytes) -> None:
        self.images = images

    def read(self, path: str) -> bytes:
        if path not in self.images:
            raise UndecodableImage(path, "not in memory")
        return self.images[path]

    def open(self, path: str) -> BinaryIO:
        return io.BytesIO(self.read(path))

    def identity(self, path: str) -> Identity:
        return Identity(len(self.read(path)), 0)


def test_the_bytes_come_from_the_source(file_image: Image.Image) -> None:
    data = saved(file_image, "jpeg")
    source = InMemory(whole=data, cut=data[:300], other=b"hello")
    assert np.array_equal(decode_path("whole", source=source), by_pillow(data))
    assert np.array_equal(
        decode_path("whole", Region(1, 1, 9, 13), source), decode(data, Region(1, 1, 9, 13))
    )
    with pytest.raises(UndecodableImage, match=r"^other: cannot be decoded \(not a JPEG, "):
        decode_path("other", source=source)
    with pytest.raises(UndecodableImage, match=r"^cut: cannot be decoded \(.+\); replace the file"):
        decode_path("cut", source=source)
    with pytest.raises(UndecodableImage, match=r"^absent: cannot be decoded \(not in memory\)"):
        decode_path("absent", source=source)


@pytest.mark.parametrize("scaled", [False, True])
def test_a_decoder_reduces_only_where_it_is_scaled(scaled: bool, file_image: Image.Image) -> None:
    data = saved(file_image, "jpeg")
    first = Resize(np.float32([[0, 0, 1, 1], [0.5, 1, 0, 0]]), np.int32([[18, 26], [9, 13]]))
    decoder = SourceDecoder(InMemory(whole=data), scaled)
    for i, region in enumerate([Region(1, 1, 18, 26), Region(0.5, 1, 9, 13)]):
        ours, whole = (
            decoder(7, "whole", EMPTY, Program((first,)), i),
            decode(data, region if scaled else None),
        )
        assert ours.shape == whole.shape
        read = first.part(i, *whole.shape[:2]).slices
        assert np.array_equal(ours[read], whole[read])
        assert (ours.shape[:2] == SIZE) != scaled


def test_stray_bytes_after_the_end_are_ignored(file_image: Image.Image) -> None:
    data = saved(file_image, "jpeg")
    assert np.array_equal(decode(data + b"stray"), decode(data))


@pytest.mark.parametrize("folder", ["photos", "conformance"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_real_images_are_bit_identical_to_pillow(folder: str, test_data: Path) -> None:
    read = 0
    for path in files_of(test_data / folder):
        try:
            expected = by_pillow(path.read_bytes())
        except Exception:
            continue
        assert np.array_equal(decode_path(str(path)), expected), path
        read += 1
    assert read > 80


@pytest.mark.parametrize("folder", ["photos", "conformance", "malformed"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_the_size_from_the_header_is_the_size_decoded(folder: str, test_data: Path) -> None:
    for path in files_of(test_data / folder):
        outcome = outcome_of(path)
        if not isinstance(outcome, UndecodableImage):
            assert image_size(str(path)) == outcome.shape[:2], path


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_hostile_files_give_an_image_or_undecodable_image(test_data: Path) -> None:
    files = files_of(test_data / "malformed")
    assert len(files) > 100
    for path in files:
        outcome = outcome_of(path)
        if isinstance(outcome, UndecodableImage):
            assert re.fullmatch(
                rf"{re.escape(str(path))}: cannot be decoded \(.+\); replace .+", str(outcome)
            )
        else:
            assert (outcome.dtype, outcome.shape[2:]) == (np.uint8, (3,))


def outcome_of(path: Path) -> np.ndarray | UndecodableImage:
    try:
        return decode_path(str(path))
    except UndecodableImage as error:
        return error


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix != ".txt")

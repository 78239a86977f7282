from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastffdi.data import sizes as module
from fastffdi.data.headers import image_size
from fastffdi.data.sizes import image_sizes
from fastffdi.data.source import FileSource, ImageSource
from fastffdi.errors import UndecodableImage


def jpeg(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, "JPEG")
    return buffer.getvalue()


def sizes(paths, threads=2, root=None) -> list[list[int]]:
    found = image_sizes([str(path) for path in paths], threads, root)
    assert found.dtype == np.int32
    return found.tolist()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FASTFFDI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sizes"


@pytest.fixture
def probed(monkeypatch) -> list[str]:
    """The images whose headers were read, by file name."""
    names: list[str] = []

    def reading(path: str, source: ImageSource) -> tuple[int, int]:
        names.append(os.path.basename(path))
        return image_size(path, source)

    monkeypatch.setattr(module, "image_size", reading)
    return names


@pytest.fixture
def images(tmp_path) -> list[Path]:
    paths = [tmp_path / f"{number}.jpg" for number in range(300)]
    for number, path in enumerate(paths):
        path.write_bytes(jpeg((8 + number % 7, 8)))
    return paths


def test_sizes_stand_in_the_order_of_the_paths(cache, images):
    expected = [[8, 8 + number % 7] for number in range(300)]
    assert sizes(images, threads=1) == expected
    assert sizes(images[::-1], threads=4) == expected[::-1]
    assert image_sizes([], 1).shape == (0, 2)


def test_a_second_time_nothing_is_read(cache, images, probed):
    first = sizes(images)
    assert len(probed) == 300
    assert sizes(images[5:9]) == first[5:9]
    assert sizes(images) == first
    assert len(probed) == 300
    assert len(list(cache.iterdir())) == 1


def test_changed_and_new_images_alone_are_read(cache, images, probed):
    sizes(images[:3])
    images[1].write_bytes(jpeg((100, 50)))
    os.utime(images[2], ns=(0, 1))
    probed.clear()
    assert sizes(images[:4]) == [[8, 8], [50, 100], [8, 10], [8, 11]]
    assert sorted(probed) == ["1.jpg", "2.jpg", "3.jpg"]
    probed.clear()
    assert sizes(images[:4]) == [[8, 8], [50, 100], [8, 10], [8, 11]]
    assert probed == []


def test_a_relative_path_is_its_absolute_one(cache, images, probed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sizes(["0.jpg", "1.jpg"]) == sizes(images[:2]) == [[8, 8], [8, 9]]
    assert sorted(probed) == ["0.jpg", "1.jpg"]


def test_an_odd_header_of_which_pillow_warns_is_read(cache, tmp_path):
    # Of 100 megapixels, from which on Pillow suspects a bomb; only its header is there.
    head = b"IHDR" + struct.pack(">IIBBBBB", 10_000, 10_001, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(head) - 4) + head + struct.pack(">I", zlib.crc32(head))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT")
    assert sizes([tmp_path / "a.png"]) == [[10_001, 10_000]]


def test_a_stored_size_that_cannot_be_is_not_believed(cache, images, probed):
    first = sizes(images[:3])
    (file,) = cache.iterdir()
    with np.load(file) as stored:
        table = stored["table"]
    table["size"][1] = 8, -1
    np.savez(file, table=table)
    assert sizes(images[:3]) == first


def test_each_root_has_its_file(cache, images, tmp_path):
    sizes(images[:2], root=str(tmp_path))
    sizes(images[:2], root="/else")
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped", "other array"])
def test_a_damaged_cache_is_ignored_and_made_anew(cache, images, probed, damage):
    first = sizes(images)
    (file,) = cache.iterdir()
    data = file.read_bytes()
    middle = len(data) // 2
    file.write_bytes(
        {
            "empty": b"",
            "text": b"hello",
            "cut": data[:middle],
            "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
            "other array": b"",
        }[damage]
    )
    if damage == "other array":
        np.savez(file, table=np.zeros(3))
    probed.clear()
    assert sizes(images) == first
    assert len(probed) == 300
    assert sizes(images) == first
    assert len(probed) == 300


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, images):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTFFDI_CACHE", str(tmp_path / "file"))
    assert sizes(images[:2]) == [[8, 8], [8, 9]]


def test_the_first_bad_image_stops_and_what_was_read_is_kept(cache, images, probed):
    images[280].write_bytes(b"")
    images[290].unlink()
    with pytest.raises(UndecodableImage) as error:
        sizes(images, threads=1)
    assert error.value.path in (str(images[280]), str(images[290]))
    probed.clear()
    assert sizes(images[:256]) == [[8, 8 + number % 7] for number in range(256)]
    assert probed == []


class Elsewhere(FileSource):
    """A source whose images are not where their paths say."""

    def read(self, path: str) -> bytes:
        return super().read(f"{path}.jpg")

    def open(self, path: str):
        return super().open(f"{path}.jpg")

    def identity(self, path: str):
        return super().identity(f"{path}.jpg")


def test_headers_are_read_from_the_source(cache, images, tmp_path):
    paths = [str(tmp_path / "3"), str(tmp_path / "5")]
    assert image_sizes(paths, 1, source=Elsewhere()).tolist() == [[8, 11], [8, 13]]

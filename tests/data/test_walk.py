from __future__ import annotations

import io
import os
import re
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from fastffdi.data import walk
from fastffdi.data.links import Links
from fastffdi.data.walk import images_below, told


def walked(folder: Path) -> tuple[list[str], dict[str, int]]:
    left_out: Counter[str] = Counter()
    return sorted(images_below(folder, "", left_out, Links(folder))), dict(left_out)


def image(form: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (3, 2)).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
@pytest.mark.parametrize("name", ["image", "image.dat", "image.2", "photo.jpg_large", "sub/IMG"])
def test_images_are_found_whatever_their_names(form: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / name).write_bytes(image(form))
    assert walked(tmp_path) == ([name], {})


def test_known_extensions_are_believed_without_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a.jpg", "b.JPEG", "c.jfif", "d.png", "e.webp", "f.bmp", "g.tif", "h.tiff", "i.gif", "j.AVIF"]
    for name in [*names, "k.txt", "l.json", "m.npy", ".n.jpg", ".o"]:
        (tmp_path / name).write_bytes(b"anything")
    monkeypatch.setattr(walk, "format_of", None)
    assert walked(tmp_path) == (names, {".txt": 1, ".json": 1, ".npy": 1})


def test_what_is_left_out_is_counted_by_kind(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.PDF", "c.heic", "readme", "Thumbs.db", "x.\x1b[31m", "empty"):
        (tmp_path / name).write_bytes(b"" if name == "empty" else b"%PDF-1.7 and so on")
    os.mkfifo(tmp_path / "pipe.fifo")
    (tmp_path / "dangling").symlink_to("nothing")
    kinds = {".pdf": 2, ".heic": 1, ".db": 1, ".fifo": 1, "without extension": 3, "others": 1}
    assert walked(tmp_path) == ([], kinds)


def test_what_cannot_be_opened_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "image").write_bytes(image("PNG"))

    def refused(*arguments: object, **options: object) -> None:
        raise PermissionError

    monkeypatch.setattr("builtins.open", refused)
    assert walked(tmp_path) == ([], {"without extension": 1})


def test_it_is_told_in_one_line() -> None:
    assert told(Counter()) == ""
    assert told(Counter({".txt": 1})) == "1 file left out that is no image: .txt"
    assert told(Counter({".csv": 1, ".txt": 2})) == "3 files left out that are no images: .txt (2), .csv"
    many = Counter({f".{k}": k for k in range(1, 9)})
    assert re.fullmatch(
        r"36 files left out that are no images: \.8 \(8\), .+, \.4 \(4\), others \(6\)", told(many)
    )

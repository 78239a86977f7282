import os
from pathlib import Path

import pytest

from fastffdi.data.source import FILES, Identity, path_digest
from fastffdi.errors import UndecodableImage


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(b"twelve bytes")
    os.utime(tmp_path / "a.jpg", ns=(1, 1234567890))
    return tmp_path / "a.jpg"


def test_a_file_is_its_bytes(file: Path) -> None:
    assert FILES.read(str(file)) == b"twelve bytes"
    with FILES.open(str(file)) as opened:
        assert (opened.read(6), opened.seek(0), opened.read()) == (b"twelve", 0, b"twelve bytes")


def test_its_identity_is_length_and_time_of_change(file: Path) -> None:
    assert FILES.identity(str(file)) == Identity(size_bytes=12, mtime_ns=1234567890)


@pytest.mark.parametrize("ask", [FILES.read, FILES.open, FILES.identity])
def test_an_absent_file_is_undecodable_by_its_path(ask, tmp_path: Path) -> None:
    with pytest.raises(UndecodableImage) as caught:
        ask(str(tmp_path / "no.jpg"))
    assert caught.value.path == str(tmp_path / "no.jpg")
    assert caught.value.reason == "No such file or directory"


def test_what_is_not_a_regular_file_has_no_identity(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path, tmp_path / "pipe.jpg"):
        with pytest.raises(UndecodableImage, match=r"cannot be decoded \(not a file\)"):
            FILES.identity(str(path))


def test_the_digest_of_a_path_has_16_bytes_whatever_bytes_the_path_has() -> None:
    digests = [path_digest(path) for path in ("/a/b.jpg", "/a/c.jpg", "/ä/b.jpg", os.fsdecode(b"/\xff.jpg"))]
    assert {len(digest) for digest in digests} == {16}
    assert len({*digests}) == 4
    assert digests[0].hex() == "76c1b94b31759a3b25a1376ab5e4a5a8"

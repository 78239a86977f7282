"""Files, folders, patterns and lists that a user names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from named_files import message, touch

from fastffdi.data.named import image_files, read_list


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def matched(*files: str, say=lambda line: None, follow=False) -> list[str]:
    return image_files(files, say, follow, patterns=True).names.tolist()


def test_files_keep_their_names_as_typed(tmp_path):
    touch("a.jpg", "d/b")
    names = ["d/../a.jpg", "d/b", str(tmp_path / "a.jpg"), "a.jpg"]
    rows = image_files(names)
    assert rows.names.tolist() == names
    assert rows.paths()[1] == os.path.abspath("d/b")
    assert all(os.path.samefile(path, name) for path, name in zip(rows.paths(), names, strict=True))


def test_files_that_are_none(tmp_path):
    touch("a.jpg", "d/b.jpg")
    assert message(image_files, ["a.jpg", "z.jpg", "d"]) == (
        f"1 of 3 files do not exist (z.jpg); check the names, seen from {tmp_path}"
    )
    assert message(image_files, []) == "no images given; name at least one file or folder"


def test_a_folder_among_files_stands_for_its_images(tmp_path):
    touch("a.jpg", "d/e/b.jpg", "d/c.jpg", "f/c.jpg")
    rows = image_files(["f", "a.jpg", "./d/"])
    assert rows.names.tolist() == ["f/c.jpg", "a.jpg", "./d/c.jpg", "./d/e/b.jpg"]
    assert [Path(path).is_file() for path in rows.paths()] == [True] * 4
    (tmp_path / "empty").mkdir()
    assert message(image_files, ["d", "empty"]).startswith("empty: no images (JPEG")


def test_a_pattern_stands_for_the_images_it_matches_sorted_by_name():
    touch("d/b.jpg", "d/a.jpg", "d/A.PNG", "d/e/c.jpg", "d/e/f/d.jpg", "d/.hidden.jpg", "x.jpg")
    assert matched("d/*.jpg") == ["d/a.jpg", "d/b.jpg"]
    assert matched("d/**/*.jpg") == ["d/a.jpg", "d/b.jpg", "d/e/c.jpg", "d/e/f/d.jpg"]
    assert matched("./d/[A-Z]*") == ["./d/A.PNG"]
    assert matched(f"{os.getcwd()}/?.jpg") == [f"{os.getcwd()}/x.jpg"]
    assert matched("x.jpg", "d/?.jpg", "x.jpg") == ["x.jpg", "d/a.jpg", "d/b.jpg", "x.jpg"]


def test_a_file_of_that_very_name_is_no_pattern():
    touch("a[1].jpg", "a1.jpg", "*.jpg")
    assert matched("a[1].jpg", "*.jpg") == ["a[1].jpg", "*.jpg"]
    assert matched("a?.jpg") == ["a1.jpg"]


def test_names_are_no_patterns_unless_asked():
    touch("a.jpg")
    assert message(image_files, ["*.jpg"]).startswith("1 of 1 files do not exist (*.jpg)")


def test_a_pattern_takes_no_folders_and_counts_what_is_no_image():
    touch("d/a.jpg", "d/note.txt", "d/e/b.jpg", "d/folder.jpg/c.jpg")
    Path("d/picture").write_bytes(b"GIF89a")
    said: list[str] = []
    assert matched("d/*", say=said.append) == ["d/a.jpg", "d/picture"]
    assert said == ["d/*: 1 file left out that is no image: .txt"]


def test_a_pattern_that_matches_nothing(tmp_path):
    touch("d/note.txt", "d/e/a.jpg")
    hint = "as in 'DIR/**/*.jpg', * does not reach into folders, and ** does"
    assert message(matched, "e/*") == f"e/*: no image matches, seen from {tmp_path}; {hint}"
    assert message(matched, "d/*") == (
        f"d/*: no image matches, seen from {tmp_path}; of what it matches, 1 file left out that is no image: "
        f".txt; {hint}"
    )


def test_links_that_lead_out_of_a_patterns_folder_are_refused():
    touch("d/a.jpg", "else/b.jpg")
    os.symlink("../else", "d/linked")
    os.symlink("a.jpg", "d/inside.jpg")
    said = message(matched, "d/**/*.jpg")
    assert said.startswith("d: the link d/linked/b.jpg leads out of it; give --follow-symlinks")
    assert matched("d/*.jpg") == ["d/a.jpg", "d/inside.jpg"]
    found = matched("d/**/*.jpg", follow=True)
    assert found == ["d/a.jpg", "d/inside.jpg", "d/linked/b.jpg"]


def test_what_all_folders_hold_besides_is_said_once():
    touch("d/a.jpg", "d/x.txt", "e/a.jpg", "f/a.jpg", "f/y.csv", "f/z.txt")
    said: list[str] = []
    assert matched("d", "e", "f/*", "f", say=said.append) == ["d/a.jpg", "e/a.jpg", "f/a.jpg", "f/a.jpg"]
    assert said == ["f/* and 2 more: 5 files left out that are no images: .txt (3), .csv (2)"]


def test_a_dash_stands_for_a_list_whose_names_are_no_patterns():
    touch("a.jpg", "d/b.jpg", "-")
    given = {"patterns": True, "listed": lambda: ["d", "a.jpg", "-", "a.jpg"]}
    assert image_files(["a.jpg", "-"], **given).names.tolist() == ["a.jpg", "d/b.jpg", "a.jpg", "-", "a.jpg"]
    given["listed"] = lambda: ["*.jpg"]
    assert message(image_files, ["-"], **given).startswith("1 of 1 files do not exist (*.jpg)")
    assert image_files(["-"]).names.tolist() == ["-"]


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"a.jpg\nb c.jpg\n", ["a.jpg", "b c.jpg"]),
        (b"a.jpg\n\n ./b.jpg", ["a.jpg", " ./b.jpg"]),
        (b"a.jpg\r\nb.jpg\r\n", ["a.jpg", "b.jpg"]),
        (b"a\r.jpg\r\nb.jpg\n", ["a\r.jpg\r", "b.jpg"]),
        (b"a\nb.jpg\0c.jpg\0", ["a\nb.jpg", "c.jpg"]),
        (b"a\r\0", ["a\r"]),
        (b"caf\xe9.jpg\n", [os.fsdecode(b"caf\xe9.jpg")]),
    ],
)
def test_a_list_has_one_name_a_line_or_names_ended_by_nul(data, names):
    assert read_list(data) == names


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\0", b"\r\n"])
def test_a_list_without_names(data):
    assert message(read_list, data).startswith("standard input: lists no images; ")

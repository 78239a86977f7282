from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastffdi.data.labels import first_three, read_labels
from fastffdi.data.manifest import Manifest
from fastffdi.errors import DataError


@pytest.fixture
def images(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = Path("images")
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg", "c.jpg", "NA", "sub/d.jpg"):
        (folder / name).touch()
    return folder


def read(content: str | bytes, targets="required", duplicates=False, say=lambda line: None) -> Manifest:
    data = content.encode() if isinstance(content, str) else content
    Path("labels.txt").write_bytes(data)
    return read_labels(Path("labels.txt"), Path("images"), targets=targets, duplicates=duplicates, say=say)


def understood(content: str, **options) -> tuple[str, list, list | None, list]:
    """What was said, the names as written, the labels, and the files, relative to the folder."""
    said: list[str] = []
    rows = read(content, say=said.append, **options)
    files = [path.removeprefix(f"{rows.root}/") for path in rows.paths()]
    (line,) = said or [""]
    labels = None if rows.labels is None else rows.labels.tolist()
    return line.removeprefix("labels.txt: understood as "), rows.names.tolist(), labels, files


def message(content: str | bytes, **options) -> str:
    with pytest.raises(DataError) as error:
        read(content, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_names_labels_and_root(images):
    rows = read("img_name,target\nb.jpg,1\nsub/d.jpg,0\nNA,1\n")
    assert rows.root == str(images.absolute())
    assert rows.names.tolist() == ["b.jpg", "sub/d.jpg", "NA"]
    assert rows.labels is not None
    assert rows.labels.dtype == np.int64
    assert rows.labels.tolist() == [1, 0, 1]
    assert rows.sizes is None


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfimg_name,target\na.jpg,1\nb.jpg,0\n",
        b"img_name , target\na.jpg,1\nb.jpg,0",
        b"img_name,target\r\na.jpg,1\r\nb.jpg,0\r\n\r\n",
        b"\n\nimg_name,target\na.jpg,1\nb.jpg,0\n\n  \n\n",
        b"id,target,img_name\n7,1.0,a.jpg\n8,0.0,b.jpg\n",
        b'"img_name","target"\n"a.jpg", 1\n"b.jpg",0 \n',
    ],
    ids=["BOM", "spaces in header", "CRLF", "blank lines around", "other columns", "quotes and spaces"],
)
def test_harmless_differences_are_tolerated(images, content):
    rows = read(content)
    assert rows.names.tolist() == ["a.jpg", "b.jpg"]
    assert rows.labels is not None
    assert rows.labels.tolist() == [1, 0]


AB = ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("img_name,target\na.jpg,1\nb.jpg,0\n", ""),
        ("img_name;target\na.jpg;1\nb.jpg;0\n", "separated by semicolons"),
        ("img_name\ttarget\na.jpg\t1\nb.jpg\t0\n", "separated by tabs"),
        ("img_name,target;x\na.jpg,1\nb.jpg,0\n", None),
        (
            "Img_Name,TARGET\na.jpg,1\nb.jpg,0\n",
            "column Img_Name as img_name, column TARGET as target",
        ),
        ("IMG_NAME,img_name,target\nx,a.jpg,1\nx,b.jpg,0\n", ""),
        ("img_name,target\na.jpg,FAKE\nb.jpg,real\n", "real as 0 and fake as 1"),
        ("target,img_name\n1,a.jpg\n0,b.jpg\n", ""),
        ("img_name,target\n1,a.jpg\n0,b.jpg\n", "img_name and target the other way round"),
        (
            "Img_name;target\nfake;a.jpg\nreal;b.jpg\n",
            "separated by semicolons, column Img_name as img_name, img_name and target the other way round, "
            "real as 0 and fake as 1",
        ),
    ],
)
def test_what_can_mean_only_one_thing_is_understood_and_said(images, content, said):
    if said is None:
        assert "no column target; its first line has 'img_name', 'target;x'; write" in message(content)
    else:
        assert understood(content) == (said, AB, [1, 0], AB)


@pytest.mark.parametrize(
    ("names", "said", "files"),
    [
        (["images/a.jpg", "images/sub/d.jpg"], "names without images/", ["a.jpg", "sub/d.jpg"]),
        (["a", "sub/d"], "names without their extension", ["a.jpg", "sub/d.jpg"]),
        (["images/a", "images/b"], "names without images/, names without their extension", AB),
    ],
)
def test_names_with_their_folder_or_without_their_extension_stay_as_they_are_written(
    images, names, said, files
):
    listed = "\n".join(["img_name,target", *(f"{name},1" for name in names)])
    assert understood(listed) == (said, names, [1, 1], files)
    assert understood(listed)[3] == [path for path in files if (images / path).is_file()]


def test_a_name_that_two_images_could_be_is_none_of_them(images):
    (images / "a.png").touch()
    (images / "a.txt").touch()
    (images / "b.txt").touch()
    assert "1 of 2 images are not in" in message("img_name,target\na,1\nb,1\n")
    assert "(a); add them or delete" in message("img_name,target\na,1\nb,1\n")


def test_a_prefix_never_leads_out_of_the_folder(images, tmp_path):
    (tmp_path / "secret.jpg").touch()
    for name in (f"images/{tmp_path}/secret.jpg", "images/../secret.jpg", "images/images/a.jpg"):
        with pytest.raises(DataError):
            read(f"img_name,target\n{name},1\n")


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("valset_label.txt", "valset"),
        ("val_label.txt", "valset"),
        ("val_labels.csv", "val"),
        ("trainset_label.txt", "trainset"),
        ("faces_labels.csv", "faces"),
    ],
)
def test_images_are_found_in_the_folder_that_the_file_is_named_after(tmp_path, file, folder):
    (tmp_path / folder / "sub").mkdir(parents=True)
    (tmp_path / folder / "sub" / "a.jpg").touch()
    (tmp_path / file).write_text("img_name\nsub/a.jpg\nsub/a.jpg\n")
    said: list[str] = []
    options = {"targets": "optional", "duplicates": True, "say": said.append}
    rows = read_labels(tmp_path / file, None, **options)
    assert rows.paths()[0] == str(tmp_path / folder / "sub" / "a.jpg")
    assert said == [f"{tmp_path / file}: understood as images from {tmp_path / folder}"]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jpg").touch()
    assert read_labels(tmp_path / file, None, **options).root == str(tmp_path)
    assert len(said) == 1


def test_without_any_of_the_images_the_message_names_the_option(tmp_path):
    (tmp_path / "valset").mkdir()
    (tmp_path / "valset_label.txt").write_text("img_name\na.jpg\nb.jpg\n")
    with pytest.raises(DataError) as error:
        read_labels(tmp_path / "valset_label.txt", None, targets="optional", duplicates=True)
    assert str(error.value) == (
        f"{tmp_path}/valset_label.txt: 2 of 2 images are not in {tmp_path} or {tmp_path}/valset "
        "(a.jpg, b.jpg); name the folder that holds them, with --images "
        "(for train: --train-images, --val-images)"
    )


@pytest.mark.parametrize("header", ["img_name|target", "Img_name target"])
def test_another_separator_is_told_of_commas(images, header):
    assert message(f"{header}\na.jpg,1\n").endswith(
        "; write img_name,target, with commas between the columns"
    )


def test_targets_may_be_absent_when_optional(images):
    assert read("img_name\na.jpg\nb.jpg\n\n", targets="optional").labels is None
    rows = read("img_name,target\na.jpg,1\n", targets="optional")
    assert rows.labels is not None
    assert rows.labels.tolist() == [1]


def test_duplicates_stay_when_allowed(images):
    rows = read("img_name\nb.jpg\na.jpg\nb.jpg\n", "optional", True)
    assert rows.names.tolist() == ["b.jpg", "a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("file", "folder", "line"),
    [
        ("no.txt", "images", "no.txt: no such label file; give a CSV file with the header img_name,target"),
        ("a.txt", "no", "no: no such image folder; give the folder with the images a.txt lists"),
    ],
)
def test_a_missing_file_or_folder(images, file, folder, line):
    Path("a.txt").touch()
    with pytest.raises(DataError) as error:
        read_labels(Path(file), Path(folder), targets="required", duplicates=False)
    assert str(error.value) == line


def test_missing_columns_tell_what_there_is(images):
    cure = "write img_name,target"
    assert message("name,label\na.jpg,1\n") == (
        f"labels.txt: no column img_name and target; its first line has 'name', 'label'; {cure}"
    )
    assert message("img_name\na.jpg\n") == (
        f"labels.txt: no column target; its first line has 'img_name'; {cure}"
    )
    assert message("") == f"labels.txt: no column img_name and target; it is empty; {cure}"


@pytest.mark.parametrize("word", ["x", "2", "-1", "1.5", "01", "true", "", "NaN", "fake"])
def test_other_targets_tell_their_line(images, word):
    line = f"labels.txt: line 3: target {word!r} is not 0 (real) or 1 (fake)"
    assert message(f"img_name,target\na.jpg,1\nb.jpg,{word}\nc.jpg,9\n") == line


def test_line_numbers_count_blank_lines_before_the_header(images):
    assert message("\n\nimg_name,target\na.jpg,x\n").startswith("labels.txt: line 4: target 'x'")


def test_a_short_line_has_no_target(images):
    line = "labels.txt: line 2: target '' is not 0 (real) or 1 (fake)"
    assert message("img_name,target\na.jpg\nb.jpg,1\n") == line


def test_an_empty_name_or_a_blank_line_within(images):
    line = "labels.txt: line 3: the name is empty; add it or delete the line"
    assert message("img_name,target\na.jpg,1\n,0\n") == line
    assert message("img_name,target\na.jpg,1\n\nb.jpg,0\n") == line
    assert message("img_name,target\n\nb.jpg,0\n") == line.replace("3", "2")


def test_duplicates_are_counted_and_named(images):
    assert message("img_name,target\nb.jpg,1\na.jpg,0\nb.jpg,1\na.jpg,1\nb.jpg,1\n") == (
        "labels.txt: 2 names stand on more than one line (b.jpg, a.jpg); keep one line for each"
    )


def test_absent_images_are_counted_and_the_first_three_named(images):
    listed = ["z.jpg", "a.jpg", "y.jpg", "sub/a.jpg", "no/x.jpg", "b.jpg/q"]
    assert message("img_name,target\n" + "".join(f"{name},1\n" for name in listed)) == (
        f"labels.txt: 5 of 6 images are not in {images.absolute()} (z.jpg, y.jpg, sub/a.jpg, …); "
        "add them or delete their lines"
    )


def test_an_absent_image_given_twice_is_one(images):
    text = message("img_name\nz.jpg\na.jpg\nz.jpg\n", targets="optional", duplicates=True)
    assert text.startswith("labels.txt: 1 of 2 images are not in ")


def test_names_are_not_trimmed(images):
    assert "(a.jpg )" in message("img_name,target\na.jpg ,1\n")


def test_a_nul_in_a_name_is_an_absent_image(images):
    assert "1 of 1 images are not in" in message("img_name,target\nx\0/a.jpg,1\n")


@pytest.mark.parametrize("name", ["../images/a.jpg", "sub/../a.jpg", "/etc/passwd", "/a.jpg", "sub/../../x"])
def test_names_that_leave_the_folder(images, name):
    assert message(f"img_name,target\na.jpg,1\n{name},1\n") == (
        f"labels.txt: line 3: {name!r} is not inside {images.absolute()}; "
        "write names relative to that folder, without '..'"
    )


def test_absolute_names_inside_the_folder_are_allowed(images):
    name = f"{images.absolute()}/sub/d.jpg"
    assert read(f"img_name,target\n{name},1\n").paths() == [name]


def test_a_sibling_folder_with_the_same_beginning_is_outside(images, tmp_path):
    assert "is not inside" in message(f"img_name,target\n{tmp_path}/images2/a.jpg,1\n")


@pytest.mark.parametrize("rows", ["", "\n\n", ",\n"])
def test_a_file_that_lists_nothing(images, rows):
    line = "labels.txt: lists no images; add one line NAME,TARGET for each"
    assert message(f"img_name,target\n{rows}") == line


def test_other_encodings_and_broken_quotes(images):
    assert message("img_name,target\nä.jpg,1\n".encode("utf-16")) == (
        "labels.txt: not UTF-8 text; save it as CSV in UTF-8"
    )
    assert message('img_name,target\na.jpg,1\n"b.jpg,0\n') == (
        "labels.txt: not CSV (EOF inside string starting at line 3); "
        "write one line NAME,TARGET for each image"
    )


def test_first_three():
    assert first_three([]) == ""
    assert first_three("abc") == "a, b, c"
    assert first_three("abcd") == "a, b, c, …"
    assert first_three(["a\nb", "ä"]) == "a\\nb, ä"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.text("aimg_ntre,\n\r\"'01/. \0", max_size=60).map(str.encode))
def test_any_bytes_give_a_manifest_or_one_line(images, tail):
    for head in (b"", b"img_name,target\n", b"img_name,target\na.jpg,1\n"):
        try:
            rows = read(head + tail)
        except DataError as error:
            lines = str(error).splitlines()
        else:
            lines = rows.names[:1].tolist()
        assert len(lines) == 1

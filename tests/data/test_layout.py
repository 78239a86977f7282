from __future__ import annotations

import os
from pathlib import Path

import pytest
from named_files import message, touch

from fastffdi.data.layout import (
    find_dataset,
    find_validation,
    has_splits,
    label_files,
    plain_folder,
)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def challenge(base: str, train="trainset_label.txt", val="valset_label.txt") -> None:
    touch(f"{base}/trainset/a.jpg", f"{base}/trainset/b.jpg", f"{base}/valset/c.jpg")
    Path(base, train).write_text("img_name,target\nb.jpg,1\na.jpg,0\n")
    Path(base, val).write_text("img_name,target\nc.jpg,1\n")


@pytest.mark.parametrize("base", ["d", "d/phase1"])
@pytest.mark.parametrize("files", [(), ("train_label.txt", "val_label.txt")])
def test_the_challenge_layout(base, files):
    challenge(base, *files)
    found = find_dataset(Path("d"))
    assert found.train.root == os.path.abspath(f"{base}/trainset")
    assert found.train.names.tolist() == ["b.jpg", "a.jpg"]
    assert found.train.labels.tolist() == [1, 0]
    assert found.val.paths() == [os.path.abspath(f"{base}/valset/c.jpg")]
    assert found.description == (
        "d: training 2 images (1 real, 1 fake), validation 1 images (0 real, 1 fake)"
    )


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
@pytest.mark.parametrize(("real", "fake"), [("real", "fake"), ("0", "1"), ("Real", "FAKE")])
def test_class_folders(val, real, fake):
    touch(f"d/train/{fake}/z.jpg", f"d/train/{real}/deep/y.PNG", f"d/train/{real}/b.jpg")
    touch(f"d/{val}/{fake}/v.webp")
    touch(f"d/train/{real}/notes.txt", f"d/train/{real}/._b.jpg", "d/train/other/x.jpg", "d/train/stray.jpg")
    found = find_dataset(Path("d"))
    assert found.train.root == os.path.abspath("d")
    labels = dict(zip(found.train.names, found.train.labels, strict=True))
    assert labels == {f"train/{real}/b.jpg": 0, f"train/{real}/deep/y.PNG": 0, f"train/{fake}/z.jpg": 1}
    assert found.train.names.tolist() == sorted(labels)
    assert found.val.paths() == [os.path.abspath(f"d/{val}/{fake}/v.webp")]


def test_label_files_with_their_folders():
    challenge("d")
    place = Path("d")
    splits = [place / name for name in ("trainset_label.txt", "trainset", "valset_label.txt", "valset")]
    found = label_files(*splits)
    assert found.train.names.tolist() == ["b.jpg", "a.jpg"]
    assert found.val.names.tolist() == ["c.jpg"]
    assert found.description == ("training 2 images (1 real, 1 fake), validation 1 images (0 real, 1 fake)")


def test_of_two_label_files_the_one_for_training_has_no_repeats():
    challenge("d")
    files = [Path("d", name) for name in ("trainset_label.txt", "trainset", "valset_label.txt", "valset")]
    files[2].write_text("img_name,target\nc.jpg,1\nc.jpg,1\n")
    assert label_files(*files).val.names.tolist() == ["c.jpg", "c.jpg"]
    files[0].write_text("img_name,target\na.jpg,0\na.jpg,0\n")
    assert "1 names stand on more than one line (a.jpg)" in message(label_files, *files)


def test_the_folder_itself_wins_over_phase1():
    challenge("d")
    challenge("d/phase1")
    assert find_dataset(Path("d")).train.root == os.path.abspath("d/trainset")


def test_names_in_class_folders_are_sorted_over_both_classes():
    touch("d/val/0/b.jpg", "d/val/0/B.jpg", "d/val/0/deep/z.jpg", "d/val/1/a.jpg", "d/val/0/a.jpg")
    names = ["0/B.jpg", "0/a.jpg", "0/b.jpg", "0/deep/z.jpg", "1/a.jpg"]
    assert find_validation(Path("d")).names.tolist() == [f"val/{name}" for name in names]


def test_a_limit_holds_for_both_splits_and_is_told():
    for split, count in (("train", 12), ("val", 9)):
        touch(*(f"d/{split}/{kind}/{k:02d}.jpg" for k in range(count) for kind in ("real", "fake")))
    whole = find_dataset(Path("d"))
    few, other = whole.limit(10, seed=3), whole.limit(10, seed=4)
    assert few.train.class_counts() == few.val.class_counts() == {0: 5, 1: 5}
    assert few.description == f"{whole.description}; limited to 10 and 10 images"
    assert whole.limit(20, seed=3).description.endswith("; limited to 20 and 18 images")
    assert few.train.names.tolist() == whole.train.limit(10, 3).names.tolist()
    assert few.val.names.tolist() != other.val.names.tolist()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("train_label.txt", True),
        ("phase1/valset_label.txt", True),
        ("train/real/a.jpg", True),
        ("validation/FAKE/a.jpg", True),
        ("test/real/a.jpg", False),
        ("real/a.jpg", False),
        ("a.jpg", False),
    ],
)
def test_what_is_meant_as_a_data_set(name, meant):
    touch(f"d/{name}")
    assert has_splits(Path("d")) is meant


def test_one_class_alone_is_allowed():
    touch("d/train/real/a.jpg", "d/val/real/b.jpg")
    assert find_dataset(Path("d")).train.class_counts() == {0: 1, 1: 0}


def test_label_files_win_over_class_folders():
    challenge("d")
    touch("d/train/real/x.jpg", "d/val/real/y.jpg")
    assert find_dataset(Path("d")).train.names.tolist() == ["b.jpg", "a.jpg"]


def test_validation_alone_needs_no_targets_and_allows_repeats():
    challenge("d")
    Path("d/trainset_label.txt").unlink()
    Path("d/valset_label.txt").write_text("img_name\nc.jpg\nc.jpg\n")
    rows = find_validation(Path("d"))
    assert rows.names.tolist() == ["c.jpg", "c.jpg"]
    assert rows.labels is None


def test_validation_from_class_folders_has_labels():
    touch("d/val/fake/a.jpg")
    assert find_validation(Path("d")).labels.tolist() == [1]


def test_training_needs_targets():
    challenge("d")
    Path("d/valset_label.txt").write_text("img_name\nc.jpg\n")
    assert message(find_dataset, Path("d")).startswith("d/valset_label.txt: no column target;")


def test_repeats_in_training_are_refused():
    challenge("d")
    Path("d/trainset_label.txt").write_text("img_name,target\na.jpg,0\na.jpg,0\n")
    assert message(find_dataset, Path("d")) == (
        "d/trainset_label.txt: 1 names stand on more than one line (a.jpg); keep one line for each"
    )


def test_a_lone_label_file_is_a_mistake_to_name():
    challenge("d")
    Path("d/valset_label.txt").unlink()
    assert message(find_dataset, Path("d")) == (
        "d: no valset_label.txt or val_label.txt; the folder holds trainset/, trainset_label.txt, valset/; "
        "add the file"
    )


def test_a_label_file_without_its_images():
    challenge("d")
    Path("d/valset/c.jpg").unlink()
    Path("d/valset").rmdir()
    assert message(find_dataset, Path("d")) == (
        "d/valset: no such image folder; give the folder with the images d/valset_label.txt lists"
    )


def test_neither_layout_says_what_was_looked_for_and_what_is_there():
    touch("d/a.jpg", "d/b/c.jpg")
    assert message(find_dataset, Path("d")) == (
        "d: no training split; looked for trainset_label.txt or train_label.txt with trainset/ "
        "(also in phase1/), and for real/ and fake/ in train/; the folder holds a.jpg, b/"
    )
    assert message(find_validation, Path("d")) == (
        "d: no validation split; looked for valset_label.txt or val_label.txt with valset/ "
        "(also in phase1/), and for real/ and fake/ in val/ or valid/ or validation/; "
        "the folder holds a.jpg, b/"
    )


def test_an_empty_split():
    touch("d/train/real/a.jpg", "d/val/real/notes.txt", "d/val/fake/notes.txt")
    assert message(find_dataset, Path("d")) == (
        "d: no images (JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF) in val/fake and val/real; add some"
    )


@pytest.mark.parametrize("call", [find_dataset, find_validation, plain_folder])
def test_a_folder_that_is_none(call):
    touch("file.jpg")
    assert message(call, Path("none")) == "none: no such folder; give the folder that holds the images"
    assert message(call, Path("file.jpg")) == (
        "file.jpg: is a file, not a folder; give the folder that holds the images"
    )


def test_a_plain_folder_is_walked_in_sorted_order():
    touch("d/b.JPG", "d/a/z.tiff", "d/a.jpeg", "d/.hidden/x.jpg", "d/readme.md", "d/folder.png/q.bmp")
    rows = plain_folder(Path("d"))
    assert rows.names.tolist() == ["a.jpeg", "a/z.tiff", "b.JPG", "folder.png/q.bmp"]
    assert rows.root == os.path.abspath("d")
    assert rows.labels is None


def test_a_link_to_a_folder_is_followed_and_a_loop_ends():
    touch("d/a.jpg", "else/b.jpg")
    os.symlink("../else", "d/linked")
    os.symlink("..", "else/loop")
    os.symlink(".", "d/self")
    assert plain_folder(Path("d"), follow_symlinks=True).names.tolist() == ["a.jpg", "linked/b.jpg"]


def test_a_plain_folder_without_images():
    touch("d/notes.txt")
    assert message(plain_folder, Path("d")) == (
        "d: no images (JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF); the folder holds notes.txt"
    )
    Path("e").mkdir()
    assert message(plain_folder, Path("e")).endswith("; the folder is empty")


def test_what_else_a_folder_holds_is_told():
    touch("d/a.jpg", "d/readme.txt", "d/b/notes.TXT", "d/b/table.csv", "d/.hidden.txt")
    lines: list[str] = []
    assert plain_folder(Path("d"), lines.append).names.tolist() == ["a.jpg"]
    assert lines == ["d: 3 files left out that are no images: .txt (2), .csv"]
    touch("e/a.jpg")
    plain_folder(Path("e"), lines.append)
    assert len(lines) == 1


def test_class_folders_take_images_by_content_too():
    touch("d/train/real/a.jpg", "d/train/fake/a.gif", "d/train/fake/a.json", "d/val/real/a.jfif")
    Path("d/val/fake").mkdir()
    Path("d/val/fake/image").write_bytes(b"GIF89a")
    lines: list[str] = []
    data = find_dataset(Path("d"), lines.append)
    assert lines == ["d: 1 file left out that is no image: .json"]
    assert data.train.names.tolist() == ["train/fake/a.gif", "train/real/a.jpg"]
    assert data.val.names.tolist() == ["val/fake/image", "val/real/a.jfif"]


def test_what_was_understood_is_said_by_split():
    touch("d/trainset/a.jpg", "d/valset/b.jpg")
    Path("d/trainset_label.txt").write_text("img_name;target\ntrainset/a.jpg;1\n")
    Path("d/valset_label.txt").write_text("img_name,target\nb,1\n")
    said: list[str] = []
    found = find_dataset(Path("d"), said.append)
    assert said == [
        "d/trainset_label.txt: understood as separated by semicolons, names without trainset/",
        "d/valset_label.txt: understood as names without their extension",
    ]
    paths = [os.path.relpath(path) for part in (found.train, found.val) for path in part.paths()]
    assert paths == ["d/trainset/a.jpg", "d/valset/b.jpg"]
    assert find_dataset(Path("d")).val.names.tolist() == ["b"]

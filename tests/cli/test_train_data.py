"""What is wrong with data: what `train` refuses, skips and says of it."""

import re
import shutil
from pathlib import Path

import pytest
from commands import refused, relabelled


def test_a_missing_folder(train, tmp_path, output):
    line = refused(train(data=tmp_path / "absent"), output)
    assert line == f"{tmp_path}/absent: no such folder; give the folder that holds the images"


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_missing_label_file(train, copy, output, split):
    (copy / f"{split}set_label.txt").unlink()
    line = refused(train(data=copy), output)
    assert line.startswith(f"{copy}: no {split}set_label.txt or {split}_label.txt; the folder holds")
    assert line.endswith("; add the file")


def test_a_missing_label_file_by_option(train, copy, output):
    files = ("--train-labels", copy / "absent.txt", "--train-images", copy / "trainset")
    more = ("--val-labels", copy / "valset_label.txt", "--val-images", copy / "valset")
    line = refused(train(*files, *more, data=None), output)
    assert line == f"{copy}/absent.txt: no such label file; give a CSV file with the header img_name,target"


def test_a_missing_image_folder(train, copy, output):
    shutil.rmtree(copy / "valset")
    assert f"{copy}/valset: no such image folder; give" in refused(train(data=copy), output)


@pytest.mark.parametrize(
    ("header", "missing"),
    [("img_name,label", "target"), ("name,target", "img_name"), ("a,b", "img_name and target")],
)
def test_missing_columns(train, copy, output, header, missing):
    file = relabelled(copy, "00.jpg,0", header=header)
    line = refused(train(data=copy), output)
    assert line.startswith(f"{file}: no column {missing}; its first line has ")
    assert line.endswith("write img_name,target")


@pytest.mark.parametrize("label", ["2", "-1", "fake", ""])
def test_labels_other_than_0_and_1(train, copy, output, label):
    file = relabelled(copy, "00.jpg,0", f"01.jpg,{label}")
    line = refused(train(data=copy), output)
    assert line == f"{file}: line 3: target {label!r} is not 0 (real) or 1 (fake)"


def test_duplicate_names_in_training(train, copy, output):
    file = relabelled(copy, "00.jpg,0", "01.jpg,1", "00.jpg,0")
    line = refused(train(data=copy), output)
    assert line == f"{file}: 1 names stand on more than one line (00.jpg); keep one line for each"


def test_listed_images_that_do_not_exist(train, copy, output):
    file = relabelled(copy, *(f"{name}.jpg,0" for name in ("00", "d", "b", "c", "a", "01")))
    line = refused(train(data=copy), output)
    assert line == (
        f"{file}: 4 of 6 images are not in {copy}/trainset (d.jpg, b.jpg, c.jpg, …); "
        "add them or delete their lines"
    )


@pytest.mark.parametrize("name", ["../valset/00.jpg", "a/../../valset/00.jpg", "/etc/hostname"])
def test_names_that_leave_the_image_folder(train, copy, output, name):
    file = relabelled(copy, "00.jpg,0", f"{name},1")
    line = refused(train(data=copy), output)
    assert line == (
        f"{file}: line 3: {name!r} is not inside {copy}/trainset; "
        "write names relative to that folder, without '..'"
    )


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_empty_split(train, copy, output, split):
    file = relabelled(copy, split=split)
    line = refused(train(data=copy), output)
    assert line == f"{file}: lists no images; add one line NAME,TARGET for each"


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_empty_split_of_class_folders(train, tmp_path, output, split):
    for name in ("train/real", "train/fake", "val/real", "val/fake"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / ("a.txt" if name.startswith(split) else "a.jpg")).touch()
    line = refused(train(data=tmp_path / "data"), output)
    places = rf"({split}/real and {split}/fake|{split}/fake and {split}/real)"
    assert re.fullmatch(rf"{tmp_path}/data: no images \(JPEG, [A-Za-z, ]+\) in {places}; add some", line)


def test_validation_of_one_class_is_allowed(train, copy, output):
    relabelled(copy, "00.jpg,0", "02.jpg,0", split="val")
    code, out, err = train(data=copy)
    assert code == 0
    assert "  AUC undefined  " in err
    assert out.startswith("best: epoch 1, validation AUC undefined\n")


def test_an_image_that_cannot_be_decoded_is_skipped_and_named(train, copy):
    (copy / "trainset" / "07.jpg").write_bytes(b"no image")
    code, _, err = train("--epochs", 1, data=copy)
    assert code == 0
    assert "  corrupt images skipped: 1" in err
    table = next(line.split("listed in ")[1] for line in err.splitlines() if "listed in " in line)
    assert Path(table).read_text() == (
        'img_name,reason,loader,epoch\n07.jpg,"not a JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF image",cpu,1\n'
    )


def test_an_image_that_cannot_be_decoded_ends_with_1_and_its_name_if_asked_for(train, copy):
    (copy / "trainset" / "07.jpg").write_bytes(b"no image")
    code, _, err = train("--on-corrupt", "fail", data=copy)
    assert code == 1
    assert err.splitlines()[-1] == (
        f"fastffdi: {copy}/trainset/07.jpg: cannot be decoded "
        "(not a JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF image); "
        "replace the file or take it off the list"
    )


def test_the_two_gravest_findings_about_the_data_are_said_first(train, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTFFDI_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data"
    shutil.copytree(tiny, data)
    for name in ("00.jpg", "01.jpg"):
        (data / "trainset" / name).write_bytes(b"")
    (data / "valset/03.jpg").write_bytes((data / "valset/03.jpg").read_bytes()[:-300])
    (data / "trainset/05.jpg").write_text("no image")
    _, _, err = train("--max-corrupt", 1, data=data)
    lines = err.splitlines()
    assert lines[1:3] == [
        "error: 1 validation image is truncated; copy them again, or delete their lines",
        "error: 2 training images are empty, of zero bytes; copy them again, or delete their lines",
    ]
    assert "not an image" not in "\n".join(lines[:5])


def test_one_class_and_files_of_both_splits_are_said_before_the_first_step(train, tiny, tmp_path):
    labels = tmp_path / "fakes.txt"
    labels.write_text("img_name,target\n" + "".join(f"{k:02d}.jpg,1\n" for k in range(1, 40, 2)))
    places = ("--train-labels", labels, "--train-images", tiny / "trainset")
    _, _, err = train(*places, "--val-labels", labels, "--val-images", tiny / "trainset", data=None)
    assert [line.partition(";")[0] for line in err.splitlines() if line.startswith("warning: ")][:3] == [
        "warning: no training image is real, so that nothing can be learnt",
        "warning: no validation image is real, so that the AUC is undefined",
        "warning: 20 of 20 validation images are training images too",
    ]

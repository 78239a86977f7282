import json
import os
from pathlib import Path

import pytest
from planted import clean, jpeg, write

from fastffdi.audit import audit as module


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTFFDI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path) -> Path:
    write(tmp_path / "data", clean())
    return tmp_path / "data"


@pytest.fixture
def faulty(tmp_path) -> Path:
    rows = clean()
    rows["val"][0] = ("leak.jpg", rows["train"][0][1], 0)
    rows["train"] += [("empty.jpg", b"", 0), ("gone.jpg", None, 1)]
    write(tmp_path / "data", rows)
    return tmp_path / "data"


@pytest.mark.parametrize("quick", [(), ("--quick",)])
def test_a_clean_set_is_exit_code_0(fastffdi, folder, quick):
    code, out, err = fastffdi("check", "--data", folder, *quick)
    assert (code, err.splitlines()) == (
        0,
        [f"data: {folder}: training 12 images (6 real, 6 fake), validation 8 images (4 real, 4 fake)"],
    )
    assert "nothing found" in out.splitlines()[0]


def test_findings_are_exit_code_1(fastffdi, faulty):
    code, out, _ = fastffdi("check", "--data", faulty, "--threads", 1)
    assert code == 1
    assert "1 image, 12 % of the validation set, is in the training set" in out
    assert "1 training image is missing: listed, but not there" in out


def test_all_of_it_is_written_as_json(fastffdi, faulty, tmp_path):
    file = tmp_path / "out.json"
    assert fastffdi("check", "--data", faulty, "--json", file).code == 1
    kinds = [one["kind"] for one in json.loads(file.read_text())["findings"]]
    assert kinds == ["leak", "missing", "empty"]


def test_fix_writes_labels_that_train_takes(fastffdi, faulty, tmp_path):
    code, out, _ = fastffdi("check", "--data", faulty, "--fix", tmp_path / "clean.csv")
    assert code == 1
    said, then = out.splitlines()[-2:]
    assert said == f"3 left out, listed in {tmp_path}/clean.quarantine.csv"
    words = then.removeprefix("next: fastffdi train ").split()
    assert words == [
        *("--train-labels", f"{tmp_path}/clean.csv", "--train-images", f"{faulty}/trainset"),
        *("--val-labels", f"{tmp_path}/clean.val.csv", "--val-images", f"{faulty}/valset"),
    ]
    assert "gone.jpg" not in (tmp_path / "clean.csv").read_text()
    assert "leak.jpg" not in (tmp_path / "clean.val.csv").read_text()


@pytest.mark.parametrize("option", ["--fix", "--json"])
def test_nothing_is_written_over_without_being_told(fastffdi, folder, tmp_path, option, monkeypatch):
    file = tmp_path / "mine.csv"
    file.write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(module, "survey", None)  # it is refused before the work
        code, _, err = fastffdi("check", "--data", folder, option, file)
    assert (code, file.read_text()) == (2, "mine")
    assert "exists; name another file, or add --overwrite" in err
    assert fastffdi("check", "--data", folder, option, file, "--overwrite").code == 0
    assert file.read_text() != "mine"


@pytest.mark.parametrize("option", ["--fix", "--json"])
@pytest.mark.parametrize("own", ["trainset_label.txt", "trainset/00.jpg"])
def test_the_data_is_never_written_over(fastffdi, folder, option, own):
    before = (folder / own).read_bytes()
    code, _, err = fastffdi("check", "--data", folder, option, folder / own, "--overwrite")
    assert (code, (folder / own).read_bytes()) == (2, before)
    assert err.splitlines()[-1].endswith("belongs to the data; name another file to write")


@pytest.mark.parametrize(("option", "name"), [("--json", "absent/x.json"), ("--fix", "absent/x.csv")])
def test_a_folder_that_is_not_there_is_said_before_the_work(fastffdi, folder, tmp_path, option, name):
    code, _, err = fastffdi("check", "--data", folder, option, tmp_path / name)
    assert code == 2
    assert "there is no folder" in err


def test_json_and_fix_do_not_write_to_one_file(fastffdi, folder, tmp_path):
    words = ("--fix", tmp_path / "a.csv", "--json", tmp_path / "a.val.csv")
    code, _, err = fastffdi("check", "--data", folder, *words)
    assert code == 2
    assert "is a file that --fix writes" in err


def test_a_folder_without_data_is_wrong_use(fastffdi, tmp_path):
    code, out, err = fastffdi("check", "--data", tmp_path / "absent")
    assert (code, out) == (2, "")
    assert "no such folder" in err


def test_no_image_at_all_is_wrong_use(fastffdi, folder):
    for path in (folder / "trainset").iterdir():
        path.unlink()
    code, _, err = fastffdi("check", "--data", folder)
    assert code == 2
    assert "12 of 12 images are not in" in err


def test_class_folders_are_checked_too(fastffdi, tmp_path):
    for split, first in (("train", 0), ("val", 50)):
        for name in ("real", "fake"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for k in range(4):
                seed = first + 10 * (name == "fake") + k
                (tmp_path / "data" / split / name / f"{k}.jpg").write_bytes(jpeg(seed))
    assert fastffdi("check", "--data", tmp_path / "data").code == 0
    (tmp_path / "data/val/real/0.jpg").write_bytes(jpeg(0))
    code, out, _ = fastffdi("check", "--data", tmp_path / "data")
    assert code == 1
    assert "val/real/0.jpg = train/real/0.jpg" in out


def test_the_demo_images_are_the_default_and_clean(fastffdi, monkeypatch, tmp_path):
    from fastffdi.cli import demo_data
    from fastffdi.demo.dataset import write_demo

    write_demo(tmp_path / "demo", 20, 12, 0, lambda done, total: None)
    monkeypatch.setattr(demo_data, "builtin_folder", lambda screen: tmp_path / "demo")
    code, out, _ = fastffdi("check")
    assert (code, out.splitlines()[0]) == (0, "32 files checked, all decoded and hashed; nothing found")


def test_an_unwritable_folder_is_one_line(fastffdi, folder, tmp_path, monkeypatch):
    def full(**options):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("fastffdi.files.tempfile.mkdtemp", full)
    code, _, err = fastffdi("check", "--data", folder, "--json", tmp_path / "x.json")
    assert code == 1
    assert f"{tmp_path / 'x.json'}: the disk is full" in err.splitlines()[-1]

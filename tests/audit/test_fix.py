import csv
import os

import pytest
from planted import clean, jpeg

from fastffdi.audit import fix
from fastffdi.audit.audit import audit
from fastffdi.audit.fix import FixFiles, check_fix, write
from fastffdi.data.labels import read_labels
from fastffdi.errors import RunError, SettingError


@pytest.fixture
def faulty(planted):
    """An audit of: a leak, a conflict, an empty and a missing file."""
    rows = clean()
    rows["val"][0] = ("leak.jpg", rows["train"][0][1], 0)
    rows["train"] += [("empty.jpg", b"", 0), ("gone.jpg", None, 1), ("conflict.jpg", rows["train"][4][1], 1)]
    return audit(planted(rows), 2, full=True)


def read(file):
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.reader(text))


def test_three_files_are_written_and_nothing_is_lost(faulty, tmp_path):
    files = FixFiles.beside(tmp_path / "clean.csv")
    assert [file.name for file in files.all()] == ["clean.csv", "clean.val.csv", "clean.quarantine.csv"]
    assert write(faulty, files) == 5
    assert read(files.quarantine) == [
        ["name", "reason"],
        ["training/04.jpg", "copies have the other label"],
        ["training/empty.jpg", "empty: no bytes"],
        ["training/gone.jpg", "missing: No such file or directory"],
        ["training/conflict.jpg", "copies have the other label"],
        ["validation/leak.jpg", "in the training set as 00.jpg"],
    ]
    kept = [["img_name", "target"], *([f"{k:02d}.jpg", str(k % 2)] for k in range(12) if k != 4)]
    assert read(files.train) == kept
    assert read(files.val) == [["img_name", "target"], *([f"v{k:02d}.jpg", str(k % 2)] for k in range(1, 8))]


def test_what_is_written_can_be_trained_on_and_is_clean(faulty, tmp_path):
    files = FixFiles.beside(tmp_path / "clean.csv")
    write(faulty, files)
    train = read_labels(files.train, tmp_path / "data/trainset", targets="required", duplicates=False)
    assert len(train) == 11


def test_images_are_not_touched(faulty, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")}
    write(faulty, FixFiles.beside(tmp_path / "clean.csv"))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")} == before


def test_names_that_need_quotes_come_back(planted, tmp_path):
    rows = clean()
    rows["train"].append(("a,'b'.jpg", jpeg(70), 1))
    files = FixFiles.beside(tmp_path / "clean")
    write(audit(planted(rows), 2, full=False), files)
    assert [file.name for file in files.all()] == ["clean", "clean.val", "clean.quarantine"]
    assert read(files.train)[-1] == ["a,'b'.jpg", "1"]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_file_that_exists_is_not_written_over_without_being_told(tmp_path, which):
    files = FixFiles.beside(tmp_path / "clean.csv")
    files.all()[which].write_text("mine")
    with pytest.raises(SettingError, match=r"exists; name another file, or add --overwrite"):
        check_fix(files, overwrite=False)
    check_fix(files, overwrite=True)


def test_a_folder_is_never_written_over_and_has_to_be_there(tmp_path):
    (tmp_path / "clean.val.csv").mkdir()
    with pytest.raises(SettingError, match="is a folder"):
        check_fix(FixFiles.beside(tmp_path / "clean.csv"), overwrite=True)
    with pytest.raises(SettingError, match="there is no folder"):
        check_fix(FixFiles.beside(tmp_path / "absent/clean.csv"), overwrite=True)


def test_a_full_disk_leaves_what_was_there(faulty, tmp_path, monkeypatch):
    files = FixFiles.beside(tmp_path / "clean.csv")
    files.train.write_text("mine")

    def writer(*args, **options):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(fix.csv, "writer", writer)
    with pytest.raises(RunError, match="No space left on device"):
        write(faulty, files)
    assert files.train.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "clean.csv", "data"]

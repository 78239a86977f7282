import errno
import os
from pathlib import Path

import pytest

from fastffdi.errors import DataError, RunError
from fastffdi.files import DiskFull
from fastffdi.training import folder

OWN = [
    "best.safetensors",
    "config.yaml",
    "curves.png",
    "last.safetensors",
    "metrics.csv",
    "mistakes.png",
    "nonfinite.csv",
    "nonfinite.png",
    "quarantine.csv",
    "state-5.safetensors",
    "summary.json",
    "train_batch.png",
    "val_scores.csv",
]


def test_of_an_older_run_nothing_stays_and_of_others_everything(tmp_path):
    for name in [*OWN, "events.out.tfevents.1.host", "notes.txt", "state-mine.safetensors"]:
        (tmp_path / name).touch()
    for name in (".best.safetensors.abc.part", ".state-7.safetensors.abc.part", ".mine.part"):
        (tmp_path / name).mkdir()
    folder.make(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".mine.part", "notes.txt", "state-mine.safetensors"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"^--output .*file/run: cannot be made \(Not a directory\)$"):
        folder.make(tmp_path / "file" / "run")


def test_errors_of_the_system_name_the_folder_and_a_full_disk_itself(tmp_path):
    with pytest.raises(
        RunError, match=r"^--output runs/x: cannot be written to \(Permission denied\); make it"
    ):
        raising(PermissionError(errno.EACCES, "Permission denied"))
    with pytest.raises(DiskFull, match="the disk is full"):
        raising(DiskFull(tmp_path, 1))


def raising(error):
    with folder.writing(Path("runs/x")):
        raise error

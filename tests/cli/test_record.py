import json
from pathlib import Path

import pytest

from fastffdi.cli.record import check_folder, write_record
from fastffdi.errors import SettingError


def test_a_record_is_written_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "figures.json"
    write_record(file, {"images": 3})
    assert json.loads(file.read_text()) == {"images": 3}
    assert capsys.readouterr().out == f"figures: {file}\n"


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path):
    check_folder("--json", None)
    check_folder("--json", tmp_path / "figures.json")
    with pytest.raises(SettingError, match=r"--json .*: the folder does not exist; make it first"):
        check_folder("--json", tmp_path / "absent" / "figures.json")

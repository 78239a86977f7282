import csv
import json

import pytest

from fastffdi.training import summary
from fastffdi.training.folder import SUMMARY


@pytest.fixture
def runs(tmp_path):
    """Two folders of runs that differ in the learning rate."""
    for name, rate, auc, seconds in (("a", 0.001, 0.91234, 42.4), ("b", 0.01, 0.5, 3725.0)):
        (tmp_path / name).mkdir()
        settings = {"--epochs": 3, "--lr": rate, "--seed": 0, "--compile": name == "b"}
        interval = None if name == "b" else {"low": 0.9, "high": 0.925}
        found = {"format": summary.FORMAT, "epochs": 3, "best_epoch": 2, "auc": auc, "auc_interval": interval}
        more = {"images_per_second": 1234.5, "seconds": seconds, "limited_by": "data"}
        named = {"backbone": "resnet18", "pipeline": "standard", "settings": settings}
        (tmp_path / name / SUMMARY).write_text(json.dumps(found | more | named))
    return tmp_path / "a", tmp_path / "b"


def test_runs_stand_below_each_other_with_what_differs(fastffdi, runs):
    code, out, err = fastffdi("compare", *runs)
    assert (code, err) == (0, "")
    head, first, second = (line.split() for line in out.splitlines())
    assert " ".join(head) == "run backbone recipe epochs best AUC 95 % interval images/s time --lr --compile"
    assert first == f"{runs[0]} resnet18 standard 3 2 0.9123 0.9000 … 0.9250 1234 42 s 0.001 off".split()
    assert second == f"{runs[1]} resnet18 standard 3 2 0.5000 – 1234 1:02:05 0.01 on".split()


def test_the_table_is_written_as_json_and_csv(fastffdi, runs, tmp_path):
    files = tmp_path / "table.json", tmp_path / "table.csv"
    code, out, _ = fastffdi("compare", *runs, "--json", files[0], "--csv", files[1])
    assert code == 0
    assert out.splitlines()[-2:] == [f"figures: {files[0]}", f"table: {files[1]}"]
    first, second = json.loads(files[0].read_text())["runs"]
    assert (first["auc"], first["auc_low"], second["auc_low"]) == (0.91234, 0.9, None)
    assert second["settings"]["--lr"] == 0.01
    with files[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["auc_high"], row["--lr"]) for row in rows] == [
        (str(runs[0]), "0.925", "0.001"),
        (str(runs[1]), "", "0.01"),
    ]


def test_one_run_differs_from_none(fastffdi, runs):
    code, out, _ = fastffdi("compare", runs[0])
    assert code == 0
    assert "--lr" not in out


def test_a_folder_that_is_no_run_is_one_line(fastffdi, runs, tmp_path):
    code, out, err = fastffdi("compare", runs[0], tmp_path)
    assert (code, out) == (2, "")
    assert err == (
        f"fastffdi: {tmp_path}: is no run, without summary.json and state; name a folder that train made\n"
    )


def test_the_folder_of_a_file_is_looked_for_first(fastffdi, runs, tmp_path):
    code, out, err = fastffdi("compare", *runs, "--csv", tmp_path / "absent" / "table.csv")
    assert (code, out) == (2, "")
    assert "the folder does not exist" in err

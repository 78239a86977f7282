import csv
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from fastffdi.bench import machine
from fastffdi.model import checkpoint

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faces.py"
AUCS = {0: (0.75, 0.9), 1: (0.95, 0.85), 2: (0.5, 0.7)}


@pytest.fixture
def measure(tiny, tmp_path, monkeypatch):
    """measure("0,1"): the record after these seeds, and the words of the runs; no run takes place."""
    record, runs = tmp_path / "record.json", []

    def train(command, check):
        words = dict(zip(command[4::2], command[5::2], strict=True))
        folder = Path(words["--output"])
        folder.mkdir()
        with (folder / "metrics.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["epoch", "train_loss", "val_auc", "val_accuracy", "val_log_loss", "wait_share"])
            table.writerows(
                [k + 1, 0.5, auc, 0.8, 0.4, 0] for k, auc in enumerate(AUCS[int(words["--seed"])])
            )
        runs.append(words)

    def run(seeds, *more):
        options = ["--weights", "some/where.pth", "--json", str(record), "--epochs", "2", "--seeds", seeds]
        monkeypatch.setattr(sys, "argv", ["faces.py", str(tiny), *options, *more])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        return end.value.code, json.loads(record.read_text()), runs

    described = checkpoint.Checkpoint("", {}, (1, 1), (), (), 0, 0, versions={"timm": "1"})
    monkeypatch.setattr(subprocess, "run", train)
    monkeypatch.setattr(checkpoint, "read", lambda path: described)
    monkeypatch.setattr(machine, "facts", lambda: {"cpu": "Z80", "load": 0.5})
    return run


def test_every_seed_is_a_run_of_the_command_and_the_record_sums_them_up(measure, tiny):
    code, record, runs = measure("0,1,2")
    assert code == 0
    for seed, words in enumerate(runs):
        assert words.pop("--output").endswith("run")
        assert words == {
            "--data": str(tiny),
            "--weights": "some/where.pth",
            "--backbone": "tf_efficientnet_lite0",
            "--epochs": "2",
            "--batch-size": "16",
            "--seed": str(seed),
        }
    assert [run["best_auc"] for run in record["results"]] == [0.9, 0.95, 0.7]
    assert [[epoch["val_auc"] for epoch in run["epochs"]] for run in record["results"]] == [
        list(aucs) for aucs in AUCS.values()
    ]
    assert record["auc_of_best_epoch"] == {"median": 0.9, "least": 0.7, "most": 0.95}
    assert record["auc_of_last_epoch"] == {"median": 0.85, "least": 0.7, "most": 0.9}
    assert record["settings"]["weights"] == "where.pth"


def test_seeds_that_the_record_holds_are_not_trained_again(measure):
    measure("1")
    _, record, runs = measure("0,1")
    assert [run["seed"] for run in record["results"]] == [1, 0]
    assert [words["--seed"] for words in runs] == ["1", "0"]


def test_a_record_of_other_settings_is_kept_as_it_is(measure):
    _, before, _ = measure("0")
    code, after, runs = measure("1", "--batch-size", "8")
    assert (code, after, len(runs)) == (2, before, 1)

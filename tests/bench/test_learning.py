import csv
import json
import subprocess
from pathlib import Path

import pytest
import timm
import torch
from click.testing import CliRunner

from fastffdi.bench import machine
from fastffdi.model import checkpoint

SCRIPT = "learning"
AUCS = {0: (0.75, 0.9), 1: (0.95, 0.85), 2: (0.5, 0.7)}


@pytest.fixture
def measure(script, tiny, tmp_path, monkeypatch):
    """measure("0,1"): how it ended, the record after these seeds, and the words of our runs; none is made."""
    record, runs = tmp_path / "record.json", []

    def train(command, check):
        words = dict(zip(command[4::2], command[5::2], strict=True))
        folder = Path(words["--output"])
        folder.mkdir()
        rows = [
            dict.fromkeys(script.FIGURES, 0.4)
            | {"val_auc": auc, "val_auc_raw": auc - 0.1, "val_auc_ema": auc, "images_per_second": 20}
            for auc in AUCS[int(words["--seed"])]
        ]
        with (folder / "metrics.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
        runs.append(words)

    def tutorial(faces, weights, seed, options):
        epochs = [{"val_auc": auc - 0.2, "train_seconds": 3.0} for auc in AUCS[seed]]
        return {"seconds": 9.0, "epochs": epochs, "versions": {}}

    def run(seeds, *more):
        options = ["--weights", "some/where.pth", "--json", str(record), "--epochs", "2", "--seeds", seeds]
        ended = CliRunner().invoke(script.main, [str(tiny), *options, "--threads", "1", *more])
        return ended, json.loads(record.read_text()), runs

    facts = machine.facts() | {"load": 0.5}
    described = checkpoint.Checkpoint("", {}, (1, 1), (), (), 0, 0, versions={"timm": "1"})
    monkeypatch.setattr(subprocess, "run", train)
    monkeypatch.setattr(script, "tutorial_run", tutorial)
    monkeypatch.setattr(checkpoint, "read", lambda path: described)
    monkeypatch.setattr(machine, "facts", lambda: facts)
    return run


def test_every_seed_is_a_run_of_the_command_beside_one_of_the_tutorial(measure, tiny):
    ended, record, runs = measure("0,1,2")
    assert ended.exit_code == 0
    for seed, words in enumerate(runs):
        assert words.pop("--output").endswith("run")
        assert words == {
            "--data": str(tiny),
            "--weights": "some/where.pth",
            "--backbone": "tf_efficientnet_lite0",
            "--epochs": "2",
            "--batch-size": "16",
            "--threads": "1",
            "--ema": "0.99",
            "--seed": str(seed),
        }
    loops = [(run["loop"], run["seed"]) for run in record["results"]]
    assert loops == [(loop, seed) for seed in range(3) for loop in ("tutorial", "ours")]
    assert record["results"][1]["epochs"][0]["train_seconds"] == 2.0  # 40 images
    assert record["settings"]["weights"] == "where.pth"
    assert "--data FACES --weights where.pth --seed SEED" in record["command"]


def test_the_record_sums_up_each_epoch_over_the_seeds(measure):
    ended, record, _ = measure("0,1,2")
    found = record["summary"]
    assert [*found] == ["tutorial", "raw", "ema", "kept"]
    assert found["kept"]["auc"][1] == {"mean": pytest.approx(0.816667), "least": 0.7, "most": 0.9}
    assert [found[name]["auc"][0]["mean"] for name in found] == pytest.approx(
        [0.533333, 0.633333, 0.733333, 0.733333]
    )
    assert [found[name]["seconds_per_epoch"] for name in ("tutorial", "raw")] == [3, 2]
    assert "| the tutorial's loop | 0.533 (0.300–0.750) | 0.617 (0.500–0.700) |" in ended.output


def test_runs_that_the_record_holds_are_not_repeated(measure):
    measure("1")
    _, record, runs = measure("0,1")
    assert [run["seed"] for run in record["results"]] == [1, 1, 0, 0]
    assert [words["--seed"] for words in runs] == ["1", "0"]


def test_a_record_of_other_settings_is_kept_as_it_is(measure):
    _, before, _ = measure("0")
    ended, after, runs = measure("1", "--batch-size", "8")
    assert (ended.exit_code, after, len(runs)) == (2, before, 1)


@pytest.mark.usefixtures("one_thread")
def test_the_tutorials_rate_falls_by_steps_and_each_epoch_is_judged(script, tiny, tmp_path, monkeypatch):
    weights, rates = tmp_path / "weights.pth", []
    torch.manual_seed(0)
    torch.save(timm.create_model("test_resnet.r160_in1k", num_classes=1000).state_dict(), weights)
    step = torch.optim.Adam.step
    monkeypatch.setattr(script, "STEP", 1)
    monkeypatch.setattr(
        torch.optim.Adam,
        "step",
        lambda self, *given: rates.append(self.param_groups[0]["lr"]) or step(self, *given),
    )
    options = {"backbone": "test_resnet.r160_in1k", "epochs": 2, "batch_size": 16, "threads": 1, "limit": 24}
    found = script.tutorial_run(tiny, weights, 0, options)
    assert rates == pytest.approx([0.005, 0.005, 0.005 * 0.85, 0.005 * 0.85])
    assert [{*epoch} for epoch in found["epochs"]] == 2 * [
        {"val_auc", "val_accuracy", "val_log_loss", "train_seconds"}
    ]
    assert found["seconds"] >= sum(epoch["train_seconds"] for epoch in found["epochs"])


def test_a_model_is_judged_on_all_images_as_it_is_after_training(script):
    class Model(torch.nn.Module):
        def forward(self, images):
            assert not self.training
            assert images.shape == (2, 3, 1, 1)
            brightness = images.mean((1, 2, 3))
            return torch.stack([-brightness, brightness], 1)

    class Two:
        def __init__(self, pixels, labels):
            self.images, self.labels = torch.tensor(pixels).view(2, 1, 1, 1).expand(2, 1, 1, 3), labels

    found = script.judged(Model(), iter([Two([0.5, -1.0], [1, 0]), Two([-2.0, -0.5], [1, 0])]))
    assert (found["val_auc"], found["val_accuracy"]) == (0.5, 0.75)

import re
import shutil
from contextlib import contextmanager

import pytest
from commands import PLAIN

from fastffdi.model import checkpoint
from fastffdi.training.experiment import Experiment


def test_a_run_says_what_it_did(train, tiny, output):
    code, out, err = train()
    assert code == 0
    auc = checkpoint.read(output / "best.safetensors").metrics["auc"]
    assert out.splitlines() == [
        f"best: epoch 1, validation AUC {auc:.4f}",
        f"checkpoint: {output}/best.safetensors",
    ]
    data, weights, model, epoch, then = err.splitlines()
    assert data == (
        f"data: {tiny}: training 40 images (20 real, 20 fake), validation 16 images (8 real, 8 fake)"
    )
    assert weights == "test_efficientnet starts from random weights"
    assert model == "test_efficientnet on cpu, loader cpu, float32, as asked for"
    assert re.fullmatch(
        r"epoch 1/1  train loss \d\.\d{4}  val loss \d\.\d{4}  accuracy [01]\.\d{4}  AUC [01]\.\d{4}  "
        r"\d+ img/s  waiting for data \d+%",
        epoch,
    )
    assert then == f"next: fastffdi predict {output}/best.safetensors FOLDER -o submit.csv"


def test_every_epoch_has_its_line(train):
    _, _, err = train("--epochs", 2, "--limit", 8)
    assert re.findall(r"^epoch (\d/\d)", err, re.MULTILINE) == ["1/2", "2/2"]


class Bar:
    """What the bar is told: a total and a title, images done with a note, and titles again."""

    def __init__(self):
        self.told = []

    @contextmanager
    def __call__(self, total, title, on, done):
        self.told.append((total, title, done))
        yield self

    def advance(self, images, note):
        self.told.append((images, note))

    def rename(self, title):
        self.told.append(title)


def test_the_bar_shows_epochs_and_all_images_of_the_run(train, monkeypatch):
    bar = Bar()
    monkeypatch.setattr("fastffdi.cli.screen.bar", bar)
    train("--epochs", 2, "--limit", 12)
    epoch = [(8, None), (4, None)]  # of training, and of validation
    assert bar.told == [(48, "epoch 1/2", 0), *epoch, *epoch, "epoch 2/2", *epoch, *epoch]


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_is_closed_whatever_happens(train, monkeypatch, fails):
    closed, close = [], Experiment.close
    monkeypatch.setattr(Experiment, "close", lambda self: (closed.append(1), close(self))[1])
    assert train("--limit", 8, "--lr", 1e30 if fails else 1e-3).code == int(fails)
    assert closed == [1]


@pytest.mark.parametrize("loader", ["dali", "torchvision"])
def test_every_loader_trains(train, loader):
    code, _, err = train("--loader", loader, "--limit", 8)
    assert code == 0
    assert f"loader {loader}" in err


def test_a_file_of_weights_is_started_from(train, tiny_run, output):
    weights = tiny_run.settings.output / "best.safetensors"
    code, _, err = train("--weights", weights, "--limit", 8)
    assert code == 0
    assert re.search(r"^best\.safetensors: \d+ tensors matched by name; head kept$", err, re.MULTILINE)
    assert "random weights" not in err


def test_brackets_and_colons_in_a_name_are_shown_as_they_are(fastffdi, tiny, tmp_path):
    data = shutil.copytree(tiny, tmp_path / "[red]:smile:")
    options = (
        "--pipeline",
        tiny / "recipe.yaml",
        "--epochs",
        1,
        "--limit",
        8,
        "--output",
        tmp_path / "[b]run",
    )
    _, out, err = fastffdi("train", *PLAIN, "--data", data, *options, "--output", tmp_path / "[b]run")
    assert f"data: {data}: training" in err
    assert f"checkpoint: {tmp_path}/[b]run/best.safetensors" in out
    assert f"next: fastffdi predict '{tmp_path}/[b]run/best.safetensors' FOLDER -o submit.csv\n" in err


@pytest.fixture
def old(output):
    """A run that the output folder holds: its table."""
    output.mkdir()
    (output / "metrics.csv").write_text("old\n" * 9)
    return output / "metrics.csv"


def test_an_output_folder_that_holds_a_run(train, output, old):
    code, out, err = train()
    assert (code, out) == (2, "")
    assert err == (
        f"fastffdi: --output {output}: already holds a run; name another folder, or add --overwrite\n"
    )
    assert [path.read_text() for path in output.iterdir()] == ["old\n" * 9]


def test_overwrite_replaces_the_run(train, output, old):
    assert train("--overwrite", "--seed", 3, "--limit", 8).code == 0
    assert checkpoint.read(output / "best.safetensors").seed == 3
    assert len(old.read_text().splitlines()) == 2


def test_a_run_that_diverges_ends_with_1_and_what_to_do(train):
    code, _, err = train("--lr", 1e30)
    assert code == 1
    said = r"fastffdi: epoch 1, batch \d+: the loss is (nan|inf); lower --lr.*"
    assert re.fullmatch(said, err.splitlines()[-1])


def test_a_run_out_of_patience_says_so(train, output, tmp_path, monkeypatch):
    falling = property(lambda history: max(0, len(history.results) - 1))
    monkeypatch.setattr("fastffdi.training.history.History.since_best", falling)
    (tmp_path / "own.yaml").write_text("patience: 2\n")
    code, out, _ = train("--config", tmp_path / "own.yaml", "--epochs", 5, "--limit", 8)
    assert code == 0
    assert ", with none better in 2 more, validation AUC " in out
    assert len((output / "metrics.csv").read_text().splitlines()) == 1 + 3


def test_a_run_whose_time_is_over_ends_well_and_says_how_to_go_on(train, fastffdi, output):
    code, out, err = train("--time-limit", "0.001s", "--epochs", 2)
    assert code == 0
    assert out.startswith("best: epoch 1, of which 8 images were trained, validation AUC ")
    *_, over, then = err.splitlines()
    where = f"stopped in epoch 1 of 2, after 8 of 40 training images; all of it is kept in {output}"
    assert over.startswith(f"--time-limit 0.001s is over: {where}; go on with: fastffdi train ")
    assert over.endswith(" --resume")
    assert then.startswith("next: fastffdi predict ")
    assert checkpoint.read(output / "best.safetensors").epoch == 0


def test_a_time_limit_is_a_time(train, output):
    code, _, err = train("--time-limit", "500")
    assert (code, err) == (2, "fastffdi: --time-limit 500: give a time such as 30m or 2h\n")

"""What a run leaves for people when it ends, or breaks."""

import csv
import errno
import json
from dataclasses import replace

import numpy as np
import pytest
from experiments import finished, prepared, scored
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fastffdi.errors import RunError
from fastffdi.files import DiskFull
from fastffdi.training import curves, ending, scores
from fastffdi.training.folder import BATCH, BEST, BROKEN, BROKEN_SHEET, CURVES, MISTAKES, SCORES, SUMMARY
from fastffdi.training.history import History
from fastffdi.training.log import flat
from fastffdi.training.watch import NonFinite

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def once(settings):
    return replace(settings, epochs=1, learning_rate=1e-6)


def summary(settings):
    return json.loads((settings.output / SUMMARY).read_text())


def test_the_summary_tells_of_the_run(once, dataset):
    with prepared(once, dataset) as experiment:
        experiment.command = "fastffdi train"
        (result,) = experiment.run(lambda images, means: None)
    found = summary(once)
    assert (found["epochs"], found["best_epoch"], found["auc"]) == (1, 1, result.validation["auc"])
    assert found["best"] == flat(result)
    assert found["auc_interval"]["low"] <= found["auc"] <= found["auc_interval"]["high"]
    assert (found["backbone"], found["pipeline"], found["device"]) == (
        "test_efficientnet",
        "recipe.yaml",
        "cpu",
    )
    assert (found["data"], found["command"]) == (dataset.description, "fastffdi train")
    assert found["settings"]["--lr"] == 1e-6
    assert found["seconds"] > 40 / found["images_per_second"]


def test_the_scores_are_those_of_the_best_checkpoint(once, dataset):
    finished(once, dataset)
    found = scores.read(once.output)
    np.testing.assert_allclose(found.scores, scored(once.output / BEST, dataset), atol=1e-6)
    assert found.names.tolist() == dataset.val.names.tolist()


def test_the_first_batch_is_in_tensorboard_as_well(once, dataset):
    finished(once, dataset)
    events = EventAccumulator(str(once.output))
    events.Reload()
    (image,) = events.Images("train_batch")
    assert image.encoded_image_string == (once.output / BATCH).read_bytes()
    with Image.open(once.output / BATCH) as sheet:
        assert (image.width, image.height) == sheet.size


def test_without_matplotlib_a_run_says_so_and_is_good(once, dataset, monkeypatch):
    monkeypatch.setattr(curves, "can_be_drawn", lambda: False)
    said = []
    with prepared(once, dataset, said.append) as experiment:
        list(experiment.run(lambda images, means: None))
    line = "curves.png will not be drawn: matplotlib is not installed; pip install 'fastffdi[plot]'"
    assert said.count(line) == 1
    assert not (once.output / CURVES).exists()
    assert (once.output / SUMMARY).exists()


def test_a_disk_that_fills_at_the_end_loses_nothing_and_the_rest_is_made_up_for(once, dataset, monkeypatch):
    def full(path, *given):
        raise DiskFull(path, 1)

    with monkeypatch.context() as patch:
        patch.setattr(curves, "save", full)
        with (
            prepared(once, dataset) as experiment,
            pytest.raises(DiskFull, match=r"curves.png: the disk is full"),
        ):
            list(experiment.run(lambda images, means: None))
    assert (once.output / BEST).exists()
    assert not (once.output / SUMMARY).exists()
    with prepared(replace(once, resume="must"), dataset) as experiment:
        assert list(experiment.run(lambda images, means: None)) == []
    assert (once.output / CURVES).exists()
    assert summary(once)["seconds"] > 0


def test_other_errors_of_the_system_name_the_folder(once, dataset, monkeypatch):
    def denied(path, *given):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(curves, "save", denied)
    with pytest.raises(RunError, match=r"^--output .*: cannot be written to \(Permission denied\)"):
        finished(once, dataset)


def test_mistakes_are_drawn_where_there_are_any(dataset, tmp_path):
    history = History()
    ending.draw_and_sum_up(tmp_path, history, dataset.val, {})
    assert list(tmp_path.iterdir()) == []
    history.add(_epoch())
    scores.save(tmp_path, dataset.val, np.linspace(0.9, 0.1, 16))
    ending.draw_and_sum_up(tmp_path, history, dataset.val, {"backbone": "resnet", "pipeline": "standard"})
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {CURVES, MISTAKES, SCORES, SUMMARY}


def _epoch():
    from fastffdi.training.result import EpochResult

    return EpochResult(0, 0.7, 0.5, 100.0, 0.1, 1e-3, {"auc": 0.5, "log_loss": 0.7})


def broken(settings, dataset):
    """The error of a run whose second batch spoils the weights."""
    with prepared(settings, dataset) as experiment:
        seen = []

        def told(images, means):
            seen.append(images)
            if len(seen) == 2:
                experiment.trainer.model.classifier.bias.data.fill_(float("nan"))

        with pytest.raises(RunError) as caught:
            list(experiment.run(told))
    return experiment, str(caught.value)


def test_a_loss_that_is_no_number_names_its_images(once, dataset):
    experiment, message = broken(once, dataset)
    files = f"{once.output / BROKEN} and {once.output / BROKEN_SHEET}"
    cure = "lower --lr, or set clip_gradient in --config"
    assert message == f"epoch 1, batch 3: the loss is nan; {cure}; the images are in {files}"
    with (once.output / BROKEN).open(newline="") as file:
        rows = list(csv.DictReader(file))
    plans = [*experiment.train.backend.planner.epoch(0)][1:3]
    assert [int(row["row"]) for row in rows] == [row for plan in plans for row in plan.rows]
    assert {row["batch"] for row in rows} == {"2", "3"}
    assert [row["img_name"] for row in rows] == [f"{int(row['row']):02d}.jpg" for row in rows]
    assert [int(row["target"]) for row in rows] == [int(row["row"]) % 2 for row in rows]
    with Image.open(once.output / BROKEN_SHEET) as sheet:
        assert sheet.width > 6 * 32


def test_a_full_disk_does_not_hide_what_broke_the_run(once, dataset, tmp_path, monkeypatch):
    def full(path):
        raise DiskFull(path, 1)

    monkeypatch.setattr(ending, "atomic", full)
    error = NonFinite("epoch 1, batch 3: the loss is nan", [])
    with prepared(once, dataset) as experiment:
        found = ending.recorded(error, tmp_path, experiment.train.backend.planner)
    assert str(found) == "epoch 1, batch 3: the loss is nan; the disk is too full to list the images"

import json
import shutil
from dataclasses import replace

import pytest
from outcomes import STEPS, run

from fastffdi.errors import DataError
from fastffdi.training.comparison import Compared, differing, read
from fastffdi.training.folder import CONFIG, SUMMARY

pytestmark = pytest.mark.usefixtures("one_thread")


def of(**settings):
    return Compared("run", "resnet", "standard", 1, 1, None, settings)


def test_a_finished_run_is_read_from_its_summary(tiny_run):
    folder = tiny_run.settings.output
    found = read(folder).to_data()
    written = json.loads((folder / SUMMARY).read_text())
    assert found == {
        "run": str(folder),
        "backbone": "test_efficientnet",
        "pipeline": "recipe.yaml",
        "epochs": 1,
        "of_epochs": 1,
        "best_epoch": 1,
        "auc": tiny_run.best.validation["auc"],
        "auc_low": written["auc_interval"]["low"],
        "auc_high": written["auc_interval"]["high"],
        "images_per_second": written["images_per_second"],
        "seconds": written["seconds"],
        "limited_by": written["limited_by"],
    }


def test_a_run_that_was_stopped_counts_with_its_epochs(settings, dataset):
    run(settings, dataset, STEPS + 2)
    found = read(settings.output)
    assert (found.pipeline, found.epochs, found.of) == ("recipe.yaml", 1, 3)
    assert found.figures["best_epoch"] == 1
    assert found.figures["auc_interval"]["low"] <= found.figures["auc"]
    (settings.output / CONFIG).unlink()
    assert read(settings.output).pipeline.startswith("recipe ")


def test_a_run_without_an_epoch_has_no_figures(settings, dataset):
    run(settings, dataset, 2)
    found = read(settings.output)
    assert (found.epochs, found.figures) == (0, None)
    assert found.to_data()["auc"] is None


def test_settings_that_are_the_same_or_have_a_column_are_left_out():
    runs = [
        of(**{"--lr": 0.1, "--seed": 0, "--epochs": 3, "--ema": None}),
        of(**{"--lr": 0.2, "--seed": 0, "--epochs": 4}),
    ]
    assert differing(runs) == ["--lr"]
    assert differing([*runs, of(**{"--lr": 0.1, "--seed": False})]) == ["--lr", "--seed"]
    assert differing(runs[:1]) == []


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match=r"is no run, without summary.json and state; name a folder that"):
            read(folder)
    (tmp_path / "state-5.safetensors").write_text("torn")
    with pytest.raises(DataError, match="is no run"):
        read(tmp_path)


def test_a_summary_of_something_else_is_refused(tmp_path):
    (tmp_path / SUMMARY).write_text('{"format": 1}')
    with pytest.raises(DataError, match=r"summary.json: is no summary of a run \(KeyError\('settings'\)\)"):
        read(tmp_path)


def test_a_finished_run_of_which_only_the_state_is_left_is_read_too(tiny_run, tmp_path):
    folder = shutil.copytree(tiny_run.settings.output, tmp_path / "copy")
    (folder / SUMMARY).unlink()
    found = read(folder)
    assert (found.epochs, found.of) == (1, 1)
    whole = read(tiny_run.settings.output)
    assert found.figures["auc_interval"] == whole.figures["auc_interval"]
    assert replace(found, figures=None, folder="") == replace(whole, figures=None, folder="")

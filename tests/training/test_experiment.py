import math
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import one_torch_thread
from experiments import figures, finished, prepared, scored, settings_of, with_mixing, with_recipe

from fastffdi.evaluation import metrics
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model import checkpoint
from fastffdi.recipe.recipe import load, parse
from fastffdi.training.folder import BEST, CONFIG, LAST, TABLE

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(tiny, dataset, tmp_path_factory):
    """A finished run, to be looked at only: its experiment and its epochs."""
    settings = settings_of(tiny, tmp_path_factory.mktemp("finished") / "run")
    with one_torch_thread():
        return finished(settings, dataset)


def test_a_run_leaves_two_checkpoints_a_table_and_events(run):
    experiment, _ = run
    found = sorted(re.sub(r"(?<=tfevents).*", "", path.name) for path in experiment.settings.output.iterdir())
    pictures = ["curves.png", "train_batch.png"]  # and of mistakes, of which there are none
    files = ["events.out.tfevents", TABLE, "state-15.safetensors", "summary.json", "val_scores.csv"]
    assert found == sorted([BEST, CONFIG, LAST, *pictures, *files])


def test_what_differs_in_brightness_is_learnt(run):
    experiment, results = run
    assert results[-1].train_loss < 0.5 * results[0].train_loss
    assert experiment.best.validation["auc"] == 1


def test_the_table_holds_the_epochs(run):
    experiment, results = run
    rows = figures(experiment.settings.output)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["train_loss"] for row in rows] == [f"{result.train_loss:.6g}" for result in results]


def test_the_schedule_spans_all_epochs(run):
    experiment, results = run
    # Of 15 updates 2 warm up, 13 follow half a cosine to a thousandth; the highest of the epochs are those of
    # updates 2, 5 and 10.
    cosine = [1e-5 + (0.01 - 1e-5) * (1 + math.cos(math.pi * update / 13)) / 2 for update in (3, 8, 13)]
    assert [result.learning_rate for result in results] == pytest.approx([0.01, *cosine[:2]])
    assert experiment.trainer.optimiser.learning_rate == pytest.approx(cosine[2])


def test_the_best_checkpoint_gives_the_scores_that_were_reported(run, dataset):
    experiment, _ = run
    found = metrics.summary(dataset.val.labels, scored(experiment.settings.output / BEST, dataset))
    assert found == pytest.approx(experiment.best.validation, abs=1e-6)
    assert found["auc"] == experiment.best.validation["auc"]


def test_a_checkpoint_holds_what_was_in_use_and_not_what_the_backbone_was_made_for(run):
    settings = run[0].settings
    found = checkpoint.read(settings.output / LAST)
    assert (found.size, found.mean, found.std) == ((32, 32), (0.4, 0.5, 0.6), (0.229, 0.224, 0.225))
    assert (found.backbone, found.labels, found.seed) == ("test_efficientnet", ("real", "fake"), 7)
    assert found.versions["torch"]
    assert found.weights_data == "nothing"
    own = load(settings.pipeline).resolve((1, 1), (0.0,) * 3, (1.0,) * 3)
    assert parse(found.recipe, "checkpoint") == own


def test_the_same_seed_gives_the_same_figures_whatever_the_threads(settings, dataset, tmp_path):
    settings, tables = replace(with_mixing(settings, tmp_path), epochs=2), []
    for threads in (1, 2):
        loading = LoaderSettings(threads=threads, batch_size=8)
        finished(replace(settings, loading=loading, output=tmp_path / str(threads)), dataset)
        tables.append(figures(tmp_path / str(threads)))
    assert tables[0] == tables[1]


@pytest.mark.parametrize("loader", ["cpu", "dali"])
def test_five_crops_teach_and_are_averaged_in_prediction(settings, dataset, loader):
    crop = "{five_crop: {size: [24, 24]}}, horizontal_flip,"
    settings = with_recipe(settings, crop, "{ten_crop: {size: [24, 24]}},", "mix: {cutmix: 1}")
    experiment, (result,) = finished(replace(settings, backend=loader), dataset)
    scores = scored(experiment.settings.output / LAST, dataset, loader)
    assert metrics.summary(dataset.val.labels, scores) == pytest.approx(result.validation, abs=1e-6)


def test_a_function_of_ones_own_trains_and_is_announced_and_is_not_called_in_prediction(
    settings, dataset, tmp_path, monkeypatch
):
    (tmp_path / "own_step.py").write_text(
        "calls = []\ndef dark(images):\n    calls.append(1)\n    return images // 2\n"
    )
    monkeypatch.delitem(sys.modules, "own_step", raising=False)
    settings, said = with_recipe(settings, "{python: 'own_step:dark'},"), []  # beside it is the module
    with prepared(settings, dataset, said.append) as experiment:
        list(experiment.run(lambda images, means: None))
    calls = sys.modules["own_step"].calls
    assert len(calls) == len(experiment.train)
    warning = "runs code of yours, own_step:dark: what it does does not follow from the seed"
    assert said[0] == f"{settings.pipeline} {warning}"
    scored(settings.output / LAST, dataset)
    assert len(calls) == len(experiment.train)


def test_an_epoch_of_balanced_classes_shows_more_images(settings, dataset):
    fewer = np.concatenate(
        [np.flatnonzero(dataset.train.labels == 0), np.flatnonzero(dataset.train.labels)[:5]]
    )
    uneven = replace(dataset, train=dataset.train.take(fewer))
    shown = []
    with prepared(replace(settings, balance=True, epochs=1), uneven) as experiment:
        list(experiment.run(lambda images, means: shown.append(images)))
    assert sum(shown) == experiment.images == 20 + 20 + 16

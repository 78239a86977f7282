"""Runs that learn in another way than the usual one."""

from dataclasses import replace

import pytest
import torch
from experiments import figures, finished, prepared, with_mixing
from safetensors.torch import load_file

from fastffdi.errors import SettingError
from fastffdi.model import checkpoint, compilation
from fastffdi.training.folder import BEST, LAST
from fastffdi.training.optimisation import Optimisation
from fastffdi.training.preparation import prepare

pytestmark = pytest.mark.usefixtures("one_thread")


def learning(settings, folder="run", **how):
    output = settings.output.parent / folder
    return replace(settings, output=output, optimisation=Optimisation(**how))


def test_an_average_is_judged_beside_the_weights_and_the_better_is_kept(settings, dataset, monkeypatch):
    plain, _ = finished(learning(settings, "plain"), dataset)
    experiment, results = finished(learning(settings, "ema", ema=0.5), dataset)
    table = figures(experiment.settings.output)
    assert [row["weights"] for row in table] == [result.weights for result in results]
    for row, usual in zip(table, figures(plain.settings.output), strict=True):
        assert row["train_loss"] == usual["train_loss"]  # it changes nothing of the training
        assert row["val_auc_raw"] == usual["val_auc"]
        assert float(row["val_auc"]) == max(float(row["val_auc_raw"]), float(row["val_auc_ema"]))
    final = experiment.trainer.models[results[-1].weights].state_dict()
    kept = load_file(experiment.settings.output / LAST)
    assert all(torch.equal(value, final[name]) for name, value in kept.items())


@pytest.mark.parametrize("better", ["raw", "ema"])
def test_checkpoints_are_of_the_weights_that_are_better(settings, dataset, monkeypatch, better):
    monkeypatch.setattr("fastffdi.training.judging.rank", lambda figures: next(ranks))
    ranks = iter([1, 0] * 3 if better == "raw" else [0, 1] * 3)
    experiment, results = finished(learning(settings, ema=0.99), dataset)
    assert {result.weights for result in results} == {better}
    models = {name: model.state_dict() for name, model in experiment.trainer.models.items()}
    kept = load_file(experiment.settings.output / LAST)
    for name, state in models.items():
        same = all(torch.equal(value, state[tensor]) for tensor, value in kept.items())
        assert same == (name == better)
    assert checkpoint.read(experiment.settings.output / LAST).averaged == (better == "ema")


@pytest.mark.parametrize(
    "how",
    [
        {"optimiser": "sgd", "schedule": "step"},
        {"optimiser": "lamb", "schedule": "one-cycle", "clip_gradient": 1.0},
        {"tune": "norm", "label_smoothing": 0.1, "class_weights": "balanced"},
        {"tune": "head", "accumulate": 2, "ema": 0.9},
        {"freeze": 1, "layer_decay": 0.8, "drop_path": 0.1, "schedule": "linear"},
    ],
)
def test_each_way_trains_and_is_logged(settings, dataset, tmp_path, how):
    _, results = finished(with_mixing(learning(settings, **how), tmp_path), dataset)
    assert [result.gradient_norm > 0 for result in results] == [True] * 3
    assert (settings.output / BEST).is_file()


def test_a_backbone_that_is_frozen_is_the_one_it_started_from(settings, dataset):
    with prepared(settings, dataset) as experiment:
        start = {name: value.clone() for name, value in experiment.trainer.model.state_dict().items()}
    finished(learning(settings, tune="head"), dataset)
    changed = {
        name
        for name, value in load_file(settings.output / LAST).items()
        if not torch.equal(value, start[name])
    }
    assert changed == {"classifier.weight", "classifier.bias"}


def test_what_is_trained_is_said(settings, dataset):
    said = []
    with prepared(learning(settings, tune="head", accumulate=8), dataset, said.append):
        pass
    assert said[-2] == "training 514 of 99,710 parameters (head)"
    assert said[-1].startswith("3 updates in all, 1 in an epoch: fewer than a warm-up of 0.15 of them needs")


def test_an_average_of_gradients_over_batches_is_logged_as_one(settings, dataset):
    _, (result, *_) = finished(learning(settings, accumulate=5), dataset)
    assert result.gradient_norm > 0
    assert result.learning_rate == pytest.approx(0.01 / 100)  # of the one update of the first epoch


def test_one_class_has_no_weights_for_two(settings, dataset):
    real = replace(dataset, train=dataset.train.take(dataset.train.labels == 0))
    with pytest.raises(SettingError, match=r"^class_weights balanced: the training images are of one class"):
        prepare(learning(settings, class_weights="balanced"), real, lambda line: None)


@pytest.mark.parametrize("how", [{"freeze": 1}, {"accumulate": 2, "ema": 0.9}, {"tune": "head"}])
def test_a_compiled_step_trains_as_the_plain_one(settings, dataset, monkeypatch, how):
    monkeypatch.setattr(compilation, "_backend", lambda device: {"backend": "aot_eager"})
    found = []
    for compile in (True, False):
        changed = replace(learning(settings, str(compile), **how), compile=compile)
        experiment, _ = finished(changed, dataset)
        found.append(load_file(experiment.settings.output / LAST))
    for name, weight in found[0].items():
        torch.testing.assert_close(weight, found[1][name], rtol=0, atol=1e-3)

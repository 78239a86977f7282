"""Experiments for tests, on the tiny images: their settings and recipes, and what a run leaves."""

import csv
import json
from contextlib import closing
from dataclasses import replace

import pytest
from safetensors.torch import load_file

from fastffdi.errors import SettingError
from fastffdi.inference.predict import Predictor
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model import checkpoint
from fastffdi.recipe.recipe import load
from fastffdi.training.folder import TABLE
from fastffdi.training.preparation import prepare
from fastffdi.training.settings import Settings

CLOCKED = ("images_per_second", "wait_share", "save_share")


def settings_of(tiny, output):
    """Three epochs of five batches; no value is a default, so that one that gets lost is missed."""
    return Settings(
        "test_efficientnet",
        str(tiny / "recipe.yaml"),
        epochs=3,
        learning_rate=0.01,
        output=output,
        loading=LoaderSettings(threads=1, batch_size=8),
        backend="cpu",
        device="cpu",
        amp="off",
        pretrained=False,
        seed=7,
    )


def with_mixing(settings, folder):
    text = load(settings.pipeline).to_data() | {"mix": {"mixup": 0.2, "cutmix": 1.0}}
    (folder / "mixed.yaml").write_text(json.dumps(text))  # which is YAML too
    return replace(settings, pipeline=str(folder / "mixed.yaml"))


def with_recipe(settings, train="", evaluation="", more=""):
    """The settings with another recipe, which brings images to 32 × 32 first and normalises them last."""
    path = settings.output.parent / "mine.yaml"
    parts = {"train": train, "eval": evaluation}
    lists = [f"{part}: [{{resize: {{size: [32, 32]}}}}, {step} normalize]" for part, step in parts.items()]
    path.write_text("\n".join([*lists, more]))
    return replace(settings, pipeline=str(path), epochs=1)


def prepared(settings, dataset, say=lambda line: None):
    return closing(prepare(settings, dataset, say))


def refused(settings, dataset, error=SettingError):
    with pytest.raises(error) as caught:
        prepare(settings, dataset, lambda line: None)
    return str(caught.value)


def finished(settings, dataset):
    """The experiment, run to its end, and its epochs."""
    with prepared(settings, dataset) as experiment:
        return experiment, list(experiment.run(lambda images, means: None))


def loaders_of(experiment):
    return experiment.train, experiment.val


def scored(path, dataset, backend="cpu"):
    predictor = Predictor(path, device="cpu", amp="off", backend=backend, loading=LoaderSettings(1, 8))
    return predictor(dataset.val)


def figures(folder):
    """metrics.csv without what the clock decides."""
    with (folder / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name not in CLOCKED} for row in rows]


def kept(output, name):
    """The epoch that a checkpoint says it is of, and the one whose weights it holds."""
    return checkpoint.read(output / name).epoch, int(load_file(output / name)["classifier.bias"][0])

"""Fixtures of the tests of `train`, `predict` and `evaluate`."""

import shutil

import pytest
from commands import PLAIN, SCORING


@pytest.fixture
def output(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def train(fastffdi, tiny, output):
    """train(...): one epoch on the tiny images, unless the words say otherwise."""

    def run(*words, data=tiny, pipeline=tiny / "recipe.yaml"):
        data = () if data is None else ("--data", data)
        options = ("--pipeline", pipeline, "--epochs", 1, "--batch-size", 8, "--output", output)
        return fastffdi("train", *PLAIN, *options, *data, *words)

    return run


@pytest.fixture
def copy(tiny, tmp_path):
    """The tiny images, to spoil."""
    return shutil.copytree(tiny, tmp_path / "copy")


@pytest.fixture
def best(tiny_run):
    return tiny_run.settings.output / "best.safetensors"


@pytest.fixture
def submit(tmp_path):
    return tmp_path / "submit.csv"


@pytest.fixture
def predict(fastffdi, best, submit):
    """predict(...): with the tiny model to submit.csv, unless the words say otherwise."""
    return lambda *words, model=best: fastffdi("predict", model, "--output", submit, *SCORING, *words)


@pytest.fixture
def evaluate(fastffdi):
    return lambda *words: fastffdi("evaluate", *words)


@pytest.fixture
def scores(tmp_path):
    """A table of 120 scores that tell nothing, in three groups."""
    table = tmp_path / "scores.csv"
    rows = [f"{k}.jpg,{k % 2},{(k * 37 % 100) / 100},{'abc'[k % 3]}" for k in range(120)]
    table.write_text("\n".join(["img_name,target,y_pred,group", *rows]) + "\n")
    return table

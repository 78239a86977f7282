"""Fixtures of the tests of `train`."""

import shutil

import pytest
from commands import PLAIN


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

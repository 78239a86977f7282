"""Runs whose step is compiled."""

from dataclasses import replace

import pytest
import torch
from experiments import finished
from safetensors.torch import load_file

from fastffdi.errors import RunError
from fastffdi.model import compilation
from fastffdi.training.folder import LAST

pytestmark = pytest.mark.usefixtures("one_thread")


def compared(settings, dataset):
    """Losses and weights of two runs of 20 steps, compiled and not."""
    found = []
    for compile in (True, False):
        output = settings.output / str(compile)
        experiment, results = finished(replace(settings, epochs=4, compile=compile, output=output), dataset)
        weights = load_file(experiment.settings.output / LAST)
        found.append(({result.epoch: result.train_loss for result in results}, weights))
    return found


def test_a_compiled_step_trains_as_the_plain_one(settings, dataset, monkeypatch):
    monkeypatch.setattr(compilation, "_backend", lambda device: {"backend": "eager"})
    (losses, weights), (plain_losses, plain_weights) = compared(settings, dataset)
    assert losses == pytest.approx(plain_losses, abs=1e-3)
    assert weights.keys() == plain_weights.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, plain_weights[name], rtol=0, atol=1e-3)


@pytest.mark.slow
def test_torchs_compiler_trains_as_the_plain_step(settings, dataset):
    (losses, weights), (plain_losses, plain_weights) = compared(settings, dataset)
    assert losses == pytest.approx(plain_losses, abs=1e-3)
    assert weights.keys() == plain_weights.keys()


def test_a_compiled_step_that_fails_ends_the_run_in_one_line(settings, dataset, monkeypatch):
    def broken(graph, inputs):
        raise ValueError("no such\ninstruction")

    monkeypatch.setattr(compilation, "_backend", lambda device: {"backend": broken})
    with pytest.raises(RunError, match=r"^--compile: torch cannot compile this step \(.*no such instruction"):
        finished(replace(settings, compile=True), dataset)
    assert not (settings.output / LAST).exists()

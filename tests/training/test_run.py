import signal
from types import SimpleNamespace

import pytest

from fastffdi.errors import RunError
from fastffdi.training.history import History
from fastffdi.training.keeper import Stopped
from fastffdi.training.result import EpochResult
from fastffdi.training.run import train
from fastffdi.training.settings import Settings

FIGURES = {"auc": 0.875, "accuracy": 0.75, "log_loss": 0.5}
EPOCHS = tuple(EpochResult(epoch, 0.25, 0.5, 100.0, 0.5, 1e-3, FIGURES) for epoch in range(3))


class Experiment:
    """Three epochs, the second of which is the best; then, or before, it may fail."""

    def __init__(self, fails=False):
        self.best, self.fails, self.closed, self.history = None, fails, 0, History()
        self.settings = Settings()
        self.stopped = None

    def run(self, progress):
        for result in EPOCHS:
            progress(8, {"loss": 0.5})
            self.best = EPOCHS[min(result.epoch, 1)]
            self.history.add(result)
            yield result
            if self.fails:
                raise RunError("lower --lr")

    def close(self):
        self.closed += 1


@pytest.fixture
def run(monkeypatch, tmp_path):
    """run(experiment): the run of it, and what was said."""

    def run(experiment):
        said, data = [], SimpleNamespace(description="two images")
        monkeypatch.setattr(Settings, "dataset", lambda self, say: say("how it was read") or data)

        def prepare(given, dataset, say):
            assert (given, dataset) == (settings, data)
            experiment.settings = given
            say("a remark")
            return experiment

        monkeypatch.setattr("fastffdi.training.run.prepare", prepare)
        monkeypatch.setattr("fastffdi.training.run.doubts", lambda dataset: ["warning: doubtful"])
        settings = Settings(epochs=3, output=tmp_path)
        run.said = said
        return train(settings, said.append), said

    return run


def test_a_run_has_its_epochs_the_best_and_its_checkpoint(run, tmp_path):
    found, _ = run(Experiment())
    assert found.epochs == EPOCHS
    assert found.best is EPOCHS[1]
    assert found.checkpoint == tmp_path / "best.safetensors"


def test_data_remarks_and_epochs_are_said(run):
    _, said = run(Experiment())
    assert said[:4] == ["how it was read", "data: two images", "warning: doubtful", "a remark"]
    assert [line.split("  ")[0] for line in said[4:]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]


@pytest.mark.parametrize("fails", [False, True])
def test_an_experiment_is_closed_whatever_happens(run, fails):
    experiment = Experiment(fails)
    if fails:
        with pytest.raises(RunError, match="lower --lr"):
            run(experiment)
    else:
        run(experiment)
    assert experiment.closed == 1


ERRORS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]


@pytest.mark.parametrize(("number", "error"), ERRORS)
def test_a_signal_is_raised_as_python_does_when_what_is_kept_has_been_said(run, number, error):
    class Ended(Experiment):
        def run(self, progress):
            yield EPOCHS[0]
            raise Stopped("stopped in epoch 2 of 3", number, resumable=True)

    experiment = Ended()
    with pytest.raises(error) as caught:
        run(experiment)
    if error is SystemExit:
        assert caught.value.code == 143
    assert experiment.closed == 1
    assert run.said[-1] == "stopped in epoch 2 of 3; go on with resume='auto'"

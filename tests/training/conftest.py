"""Fixtures of the tests of an experiment."""

import pytest
from experiments import settings_of

from fastffdi.data.layout import find_dataset
from fastffdi.training.loop import Trainer
from fastffdi.training.result import EpochResult


@pytest.fixture
def settings(tiny, tmp_path):
    return settings_of(tiny, tmp_path / "run")


@pytest.fixture(scope="session")
def dataset(tiny):
    return find_dataset(tiny)


@pytest.fixture
def fit(monkeypatch):
    """fit((auc, log_loss), ...): runs train nothing, and give these epochs."""

    def given(*epochs):
        def told(self, train, val, labels, number, progress, place):
            for epoch, (auc, log_loss) in enumerate(epochs):
                self.model.classifier.bias.data.fill_(epoch)
                validation = {"auc": auc, "log_loss": log_loss, "accuracy": 0.5}
                place.begin(epoch + 1)
                yield EpochResult(epoch, 0.7, 0.5, 100.0, 0.5, 1e-3, validation)

        monkeypatch.setattr(Trainer, "fit", told)

    return given

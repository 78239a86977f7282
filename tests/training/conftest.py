"""Fixtures of the tests of an experiment."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import one_torch_thread
from experiments import settings_of
from outcomes import Outcome, run, variants

from fastffdi.data.layout import Dataset, find_dataset
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


@pytest.fixture(scope="session")
def whole(tiny: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcome]:
    """whole(variant): of the uninterrupted run, run once."""
    known: dict[str, Outcome] = {}

    def outcome(name: str) -> Outcome:
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            with one_torch_thread():
                run(variants(tiny, folder)[name], dataset)
            known[name] = Outcome.of(folder / "run")
        return known[name]

    return outcome

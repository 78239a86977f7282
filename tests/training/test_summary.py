from dataclasses import replace

import numpy as np
import pytest

from fastffdi.evaluation.bootstrap import auc_interval
from fastffdi.evaluation.scored import Scored
from fastffdi.training.folder import SUMMARY
from fastffdi.training.history import History
from fastffdi.training.result import EpochResult
from fastffdi.training.summary import limited_by, read, save, summary

FIRST = EpochResult(
    0, 0.5, 0.75, 100.0, 0.2, 1e-3, {"auc": 0.8, "log_loss": 0.4}, gradient_norm=2.0, save_share=0.01
)
SECOND = replace(
    FIRST, epoch=1, images_per_second=50.0, wait_share=0.05, validation={"auc": 0.7, "log_loss": 0.5}
)


@pytest.fixture
def history():
    found = History()
    found.add(FIRST)
    found.add(SECOND)
    return found


def test_it_holds_the_best_epoch_and_means_over_the_time(history):
    found = summary(history, None)
    assert (found["epochs"], found["best_epoch"], found["auc"], found["auc_interval"]) == (2, 1, 0.8, None)
    assert (found["best"]["gradient_norm"], found["weights"]) == (2.0, "raw")
    # The second epoch took twice as long.
    assert found["images_per_second"] == pytest.approx(2 / (1 / 100 + 1 / 50))
    assert found["wait_share"] == pytest.approx((0.2 + 2 * 0.05) / 3)
    assert found["save_share"] == pytest.approx(0.01)
    assert found["limited_by"] == "data"
    assert found["versions"]["torch"]


def test_the_interval_is_that_of_the_scores(history):
    labels, values = np.arange(40) % 2, np.linspace(0.3, 0.7, 40) + 0.05 * (np.arange(40) % 2)
    found = summary(history, Scored(np.arange(40).astype(str), labels, values))["auc_interval"]
    interval = auc_interval(labels, values)
    assert found == {"low": interval.low, "high": interval.high, "level": 0.95, "resamples": 2000}


@pytest.mark.parametrize(
    ("waited", "saved", "limit"),
    [
        (0.0, 0.0, "compute"),
        (0.09, 0.04, "compute"),
        (0.1, 0.0, "data"),
        (0.02, 0.05, "saving"),
        (0.2, 0.1, "data"),
        (0.1, 0.2, "saving"),
    ],
)
def test_what_took_the_time_limited(waited, saved, limit):
    assert limited_by(waited, saved) == limit


def test_what_is_saved_is_read_and_other_files_are_none(tmp_path, history):
    found = summary(history, None)
    save(tmp_path, found)
    assert read(tmp_path) == found
    for text in ("", "[]", '{"format": 99}', "{"):
        (tmp_path / SUMMARY).write_text(text)
        assert read(tmp_path) is None
    (tmp_path / SUMMARY).unlink()
    assert read(tmp_path) is None

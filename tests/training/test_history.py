import json
import time
from dataclasses import replace

import numpy as np

from fastffdi.training.history import History
from fastffdi.training.result import EpochResult

FIRST = EpochResult(0, 0.1 + 0.2, 0.5, 100.0, 0.5, 1e-3, {"auc": 0.8, "log_loss": 0.5, "eer": None}, 2)


def epoch(number, auc, log_loss=0.5):
    return replace(FIRST, epoch=number, validation={"auc": auc, "log_loss": log_loss})


def test_the_best_is_the_first_with_the_highest_auc():
    history = History()
    assert history.best is None
    results = [epoch(k, auc) for k, auc in enumerate((0.8, 0.9, 0.9, 0.7))]
    assert [history.add(result) for result in results] == [True, True, False, False]
    assert history.best == results[1]
    assert history.results == results


def test_scores_are_not_kept():
    history = History()
    assert history.add(replace(FIRST, scores=np.zeros(4)))
    assert history.results[0].scores is None
    assert history.best == FIRST


def test_where_a_class_is_absent_the_loss_decides():
    history = History()
    assert [history.add(epoch(k, None, loss)) for k, loss in enumerate((0.9, 0.2, 0.5))] == [
        True,
        True,
        False,
    ]


def test_it_goes_on_where_another_one_stood(monkeypatch):
    first, second = History(), History()
    monkeypatch.setattr(time, "time", lambda: 1234.5)
    monkeypatch.setattr(time, "perf_counter", lambda: 50.0)
    first._began = 30.0
    first.add(FIRST)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert (second.results, second.times, second.seconds) == ([FIRST], [1234.5], 20.0)
    assert second.add(epoch(1, 0.9))
    assert len(first.results) == 1

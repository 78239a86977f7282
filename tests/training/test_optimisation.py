"""Settings of how a run learns: their defaults, and what is refused."""

import pytest

from fastffdi.errors import SettingError
from fastffdi.training.optimisation import Optimisation, optimisers


def refused(**given):
    with pytest.raises(SettingError) as caught:
        Optimisation(**given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"optimiser": "sdg"}, "optimiser: unknown 'sdg', did you mean 'sgd'?"),
        ({"schedule": "cosin"}, "schedule: unknown 'cosin', did you mean 'cosine'?"),
        ({"class_weights": "even"}, "class_weights: unknown 'even'; allowed: balanced"),
        ({"tune": "heads"}, "tune: unknown 'heads', did you mean 'head'?"),
        ({"weight_decay": -1}, "weight_decay: -1 is not a number from 0 on"),
        ({"momentum": 1}, "momentum: 1 is not a number from 0 to below 1"),
        ({"warmup": 1.0}, "warmup: 1.0 is not a share from 0 to below 1"),
        ({"decay_every": 0}, "decay_every: 0 is not a number of epochs above 0"),
        ({"decay_rate": 1.5}, "decay_rate: 1.5 is not a number above 0, up to 1"),
        ({"clip_gradient": 0}, "clip_gradient: 0 is not a number above 0"),
        ({"label_smoothing": True}, "label_smoothing: True is not a share from 0 to below 1"),
        ({"layer_decay": 0}, "layer_decay: 0 is not a number above 0, up to 1"),
        ({"drop_path": 1}, "drop_path: 1 is not a rate from 0 to below 1"),
        ({"freeze": -1}, "freeze: -1 is not a whole number from 0 on"),
        ({"accumulate": 0}, "accumulate: 0 is not a whole number from 1 on"),
        ({"accumulate": 1.5}, "accumulate: 1.5 is not a whole number from 1 on"),
        ({"ema": 1}, "ema: 1 is not a number between 0 and 1"),
        ({"ema": float("nan")}, "ema: nan is not a number between 0 and 1"),
        (
            {"freeze": 1, "tune": "head"},
            "freeze 1: with tune head the backbone is frozen to the end; leave out one",
        ),
    ],
)
def test_what_is_out_of_range_is_refused(given, message):
    assert refused(**given) == message


def test_the_limits_themselves_are_allowed():
    how = Optimisation(
        weight_decay=0, momentum=0, warmup=0, decay_rate=1, label_smoothing=0, layer_decay=1, drop_path=0
    )
    assert (how.weight_decay, how.layer_decay, how.drop_path) == (0, 1, 0)


def test_the_defaults_ask_timm_for_nothing(monkeypatch):
    monkeypatch.setattr("fastffdi.training.optimisation.optimisers", lambda: 1 / 0)
    assert Optimisation() == Optimisation(optimiser="adamw", schedule="cosine", tune="all")


def test_optimisers_are_timms_but_those_that_a_run_could_not_have():
    names = optimisers()
    assert {"adamw", "sgd", "lamb", "lion", "muon", "radam", "rmsprop"} <= set(names)
    assert [name for name in names if name.startswith(("bnb", "fused", "kron")) or name == "adahessian"] == []


@pytest.mark.parametrize(("accumulate", "batches", "updates"), [(1, 5, 5), (2, 5, 3), (5, 5, 1), (9, 5, 1)])
def test_the_last_update_of_an_epoch_may_be_of_fewer_batches(accumulate, batches, updates):
    assert Optimisation(accumulate=accumulate).updates(batches) == updates

from dataclasses import replace

import pytest
import torch

from fastffdi.errors import SettingError
from fastffdi.training.feasibility import check, doubts
from fastffdi.training.optimisation import Optimisation

CPU = torch.device("cpu")
CURE = "lower --batch-size, or raise --epochs"


def said(settings, batches, epochs=3, **how):
    return doubts(replace(settings, epochs=epochs, optimisation=Optimisation(**how)), batches)


def refused(settings, device=CPU, **changed):
    with pytest.raises(SettingError) as caught:
        check(replace(settings, **changed), device)
    return str(caught.value)


def test_updates_that_are_too_few_are_said(settings):
    assert said(settings, 2) == []
    assert said(settings, 1) == [
        f"3 updates in all, 1 in an epoch: fewer than a warm-up of 0.15 of them needs; {CURE}"
    ]
    assert said(settings, 1, warmup=0.0) == []
    once = f"1 update in all, 1 in an epoch: hardly anything can be learnt in it; {CURE}"
    assert said(settings, 1, epochs=1) == [once]
    assert said(settings, 5, epochs=1, accumulate=8) == [once]


def test_a_schedule_that_makes_no_step_is_said(settings):
    assert said(settings, 9, schedule="step", decay_every=2.5) == []
    (line,) = said(settings, 9, schedule="step", decay_every=3)
    assert line == "decay_every 3: of 3 epochs, the learning rate makes no step"


def test_what_contradicts_is_refused(settings):
    check(replace(settings, compile=True, optimisation=Optimisation(accumulate=2, freeze=2)), CPU)
    balanced = Optimisation(class_weights="balanced")
    assert refused(settings, balance=True, optimisation=balanced).startswith("--balance: class_weights")
    frozen = refused(settings, optimisation=Optimisation(freeze=3))
    assert frozen.startswith(
        "--freeze 3: of 3 epochs none is left to train the backbone in; take --tune head"
    )
    both = refused(settings, torch.device("cuda"), compile=True, optimisation=Optimisation(accumulate=2))
    assert both.startswith("--accumulate 2: with --compile on a GPU")

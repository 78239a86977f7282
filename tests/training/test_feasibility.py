from contextlib import closing
from dataclasses import replace

import pytest
import torch

from fastffdi.errors import SettingError
from fastffdi.training.feasibility import check, check_batches, doubts
from fastffdi.training.optimisation import Optimisation
from fastffdi.training.preparation import prepare

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


def lone(settings, batch_size):
    loading = replace(settings.loading, batch_size=batch_size)
    return replace(settings, backbone="test_efficientnet", loading=loading)


def test_a_batch_of_one_image_that_batchnorm_cannot_learn_from_is_refused(settings, dataset):
    with pytest.raises(SettingError) as caught:
        prepare(lone(settings, 13), dataset, lambda line: None)
    assert str(caught.value).startswith(
        "--batch-size 13: of 40 training images one is left for a batch of its"
    )


def test_to_try_it_changes_nothing(settings, dataset):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Dropout())
    before, state = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    with closing(prepare(lone(settings, 12), dataset, lambda line: None)) as experiment:
        planner = replace(experiment.train.backend.planner, batch_size=13)
    torch.set_rng_state(state)
    check_batches(model, planner)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

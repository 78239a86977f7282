import dataclasses
import time

import pytest
import torch

from fastffdi.bench import trial as module
from fastffdi.bench.trial import Choice, Task, Trial, paced
from fastffdi.errors import RunError, UndecodableImage
from fastffdi.loaders import factory
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps import STEPS

TINY = (STEPS["resize"]((16, 16)), STEPS["normalize"]((0.5,) * 3, (0.5,) * 3))


@pytest.fixture
def task(images, monkeypatch):
    monkeypatch.setattr(module, "EPOCH", 100)
    planner = BatchPlanner.over(images, TINY, 64, 1, shuffle=True)
    return Task(planner, "cpu", torch.device("cpu"), torch.float32, threads=2, seconds=0.02, repeats=3)


def test_a_choice_is_told_in_words_and_as_the_loader_takes_it():
    choice = Choice(3, 16, hw_decoder_load=0.3)
    assert choice.described() == "threads 3, batch size 16, prefetch 2, hw decoder load 0.3"
    assert Choice(3, 16).described("threads") == "batch size 16, prefetch 2"
    assert choice.settings() == LoaderSettings(3, 2, None, 0.3)


@pytest.mark.parametrize("loader", ["cpu", "torchvision", "dali"])
def test_a_turn_runs_the_loader_with_the_choice(task, monkeypatch, loader):
    seen, build = [], factory.build_loader

    def to_loader_error(name, planner, settings, device):
        seen.append((name, planner.batch_size, settings))
        return build(name, planner, settings, device)

    monkeypatch.setattr(factory, "build_loader", to_loader_error)
    trial = Trial(Choice(threads=1, batch_size=4, prefetch=3))
    trial.turn(dataclasses.replace(task, loader=loader))
    assert seen == [(loader, 4, LoaderSettings(1, 3))]
    assert trial.rate > 0
    assert trial.problem is None


@pytest.fixture
def used(monkeypatch):
    """MiB in use, as they are asked for: before and at the end of each turn."""
    used = []
    monkeypatch.setattr(module, "memory_mib", lambda: used.pop(0))
    return used


def test_memory_is_the_estimate_or_what_a_turn_adds_where_that_is_more(task, used):
    trial = Trial(Choice(1, 4), gib=0.5)
    for before, after, expected in ((1024, 1100, 0.5), (1024, 2048, 1.0), (2048, 1024, 1.0)):
        used += [before, after]
        trial.turn(task)
        assert trial.gib == expected
    assert len(trial.rates) == 3


def test_more_memory_than_the_cap_is_a_problem(task, used):
    used += [1024, 3072]
    trial = Trial(Choice(1, 4))
    trial.turn(dataclasses.replace(task, cap_gib=1.5))
    assert trial.problem == "takes 2.00 GiB, more than the cap of 1.50"


def test_where_the_system_does_not_tell_the_estimate_stands(task, used):
    used += [None, None]
    trial = Trial(Choice(1, 4), gib=0.5)
    trial.turn(dataclasses.replace(task, cap_gib=0.6))
    assert (trial.gib, trial.problem) == (0.5, None)


@pytest.mark.parametrize("error", [RunError("DALI  failed"), torch.OutOfMemoryError("DALI failed")])
def test_a_failure_of_the_loader_is_the_choices_problem(task, monkeypatch, error):
    def failing(*_):
        raise error

    monkeypatch.setattr(factory, "build_loader", failing)
    trial = Trial(Choice(1, 4))
    trial.turn(task)
    assert trial.problem == "DALI failed"


def test_a_bad_image_is_not(task, monkeypatch):
    def failing(*_):
        raise UndecodableImage("bad.jpg", "no image")

    monkeypatch.setattr(factory, "build_loader", failing)
    with pytest.raises(UndecodableImage, match=r"bad\.jpg"):
        Trial(Choice(1, 4)).turn(task)


def test_a_paced_consumer_takes_its_time_over_each_batch(monkeypatch):
    slept, closed = [], []
    monkeypatch.setattr(time, "sleep", slept.append)

    def batches():
        try:
            yield from (4, 5, 6)
        finally:
            closed.append(True)

    stream = paced(batches(), 0.5)
    assert [next(stream), next(stream)] == [4, 5]
    stream.close()
    assert (slept, closed) == ([0.5], [True])
    assert list(paced(batches(), 0.0)) == [4, 5, 6]
    assert slept == [0.5]

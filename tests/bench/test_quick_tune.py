from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from fastffdi.bench import quick_tune as module
from fastffdi.bench.budget import Budget
from fastffdi.bench.loader import Settings
from fastffdi.bench.minute import Minute
from fastffdi.bench.quick_tune import within
from fastffdi.bench.report import Subject
from fastffdi.bench.stopwatch import Pass
from fastffdi.errors import RecipeError
from fastffdi.loaders.settings import LoaderSettings

SETTINGS = Settings(torch.device("cpu"), torch.float32, LoaderSettings(4, 8))
SUBJECT = Subject("tiny", (), None, ["cpu"], [SETTINGS])
OPTIONS = [LoaderSettings(1, 8), LoaderSettings(2, 8)]


class Process:
    """Of a loader with so many threads: as many turns, and ten times as many images/s."""

    def __init__(self, name, job) -> None:
        self.name, self.job, self.refused = name, job, None
        threads = job.settings.threads
        self.passes = [Pass(10 * threads, 1, 1.0, 1.0)] * threads


@pytest.fixture
def raced(monkeypatch: pytest.MonkeyPatch) -> list:
    """What raced, and with how much time; each race takes three seconds."""
    seen: list = []

    @contextmanager
    def started(jobs, context):
        yield [Process(name, job) for name, job in jobs.items()]

    def race(processes, budget, progress):
        seen.append((processes, budget.left))
        clock.now += 3.0

    monkeypatch.setattr(module, "started", started)
    monkeypatch.setattr(module, "race", race)
    return seen


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


clock = Clock()


def measure(loaders: int):
    clock.now = 0.0
    return within(Minute(Budget(50.0, clock), None), loaders, "cpu", SUBJECT)


def test_values_take_turns_in_processes_of_their_own(raced: list):
    assert measure(2)(OPTIONS, 0.5) == [(10.0,), (20.0, 20.0)]
    ((first, second), _), *_ = raced
    assert [first.name, second.name] == ["cpu, 1 of 2", "cpu, 2 of 2"]
    assert [first.job.settings, second.job.settings] == [replace(SETTINGS, loading=each) for each in OPTIONS]
    assert {(each.job.name, each.job.pause, each.job.cores) for each in (first, second)} == {("cpu", 0.5, 4)}


def test_each_comparison_has_the_part_of_the_time_of_its_values(raced: list):
    measured = measure(5)
    measured(OPTIONS, 0.0)
    measured(OPTIONS[:1], 0.0)
    measured(OPTIONS, 0.0)
    # Two of five of 50 s; one of three of 47; two of two of 44.
    assert [left for _, left in raced] == pytest.approx([20.0, 47 / 3, 44.0])


def test_a_recipe_that_is_refused_is_raised(raced: list, monkeypatch: pytest.MonkeyPatch):
    refused = RecipeError("--loader cpu cannot render swirl; take another")

    def race(processes, budget, progress):
        processes[0].refused = refused

    monkeypatch.setattr(module, "race", race)
    with pytest.raises(RecipeError, match="cannot render swirl"):
        measure(2)(OPTIONS, 0.0)

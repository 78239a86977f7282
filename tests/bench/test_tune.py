from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from fastffdi.bench import tune as module
from fastffdi.bench.loader import Settings, planner_over
from fastffdi.bench.stream import Stream
from fastffdi.bench.tune import alternatives, smallest_of_best, tune
from fastffdi.data.manifest import Manifest
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps import STEPS

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
TINY = (STEPS["resize"]((16, 16)), STEPS["normalize"]((0.5,) * 3, (0.5,) * 3))
SETTINGS = Settings(CPU, torch.float32, LoaderSettings(4, 64), seconds=0.01, repeats=3)


def test_only_what_the_loader_knows_is_found():
    assert alternatives("cpu", CPU, 5) == {"threads": (1, 2, 3, 4, 5), "prefetch": (1, 2, 4)}
    assert alternatives("torchvision", CPU, 1) == {"threads": (1,)}
    assert list(alternatives("dali", CPU, 8)) == ["threads", "prefetch"]
    assert alternatives("dali", CUDA, 8)["hw_decoder_load"] == (0.0, 0.3, 0.65, 0.9)


def test_of_what_is_within_the_noise_the_smallest_is_taken():
    assert smallest_of_best([(90, 90, 90), (98, 98, 98), (100, 100, 100)]) == 1
    assert smallest_of_best([(90, 90, 90), (95, 95, 95), (100, 100, 100)]) == 2


def test_a_machine_that_slows_down_slows_all():
    assert smallest_of_best([(100, 50, 10), (100, 50, 10)]) == 0
    assert smallest_of_best([(100, 50, 10), (110, 55, 9.9)]) == 1


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """machine(speed): a machine with speed(settings, pause) images/s; gives what is measured, in order."""

    def made(speed):
        measured = []

        def rates(loader, planner, settings, options, pause, progress):
            measured.append((options, pause))
            return [(speed(option, pause),) * settings.repeats for option in options]

        monkeypatch.setattr(module, "_rates", rates)
        return measured

    return made


def found(values=None, settings=SETTINGS):
    return tune("cpu", None, settings, values or alternatives("cpu", CPU, 4))


def test_the_best_of_each_setting_is_found(machine):
    measured = machine(lambda s, pause: 1.0 * min(s.threads, 3) * (min(s.prefetch, 2) if pause else 1))
    result = found(settings=replace(SETTINGS, loading=LoaderSettings(2, 64, prefetch=1)))
    assert result.found == {"threads": 3, "prefetch": 2}
    assert result.gain == 1.5
    assert [(c.setting, c.taken) for c in result.comparisons] == [("threads", 3), ("prefetch", 2)]
    assert {n: q.median for n, q in result.comparisons[0].rates.items()} == {1: 1, 2: 2, 3: 3, 4: 3}
    assert [option.prefetch for option in measured[1][0]] == [1, 2, 4]
    assert {option.threads for option in measured[1][0]} == {3}


def test_the_prefetch_depth_is_found_with_a_consumer_as_fast_as_the_loader(machine):
    measured = machine(lambda s, pause: 16.0)
    found()
    assert [pause for _, pause in measured] == [0.0, 64 / 16, 0.0]


def test_what_is_slower_than_the_defaults_is_not_taken(machine):
    calls = []

    def speed(settings, pause):
        calls.append(settings)
        final = len(calls) > 4 + 3
        return 1.0 if settings == SETTINGS.loading or not final else 0.5

    machine(speed)
    result = found()
    assert (result.found, result.gain) == ({"threads": 4, "prefetch": 2}, 1.0)
    assert result.comparisons[0].taken == 1


def test_a_consumer_that_takes_its_time_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    slept = []
    monkeypatch.setattr(module.time, "sleep", slept.append)

    @contextmanager
    def opened():
        yield iter([3, 4, 5])

    stream = Stream("", opened, 0, 1, 1.0)
    assert module._paced(stream, 0.0) is stream
    with module._paced(stream, 2.5).open() as arrivals:
        assert list(arrivals) == [3, 4, 5]
    assert slept == [2.5] * 3


def test_real_loaders_take_turns(image_files: Manifest):
    settings = replace(SETTINGS, loading=LoaderSettings(1, 4), repeats=1)
    turns: list[str] = []
    values = {"threads": (1, 2), "prefetch": (1, 2)}
    planner = planner_over(image_files.take(slice(20)), TINY, settings)
    result = tune("cpu", planner, settings, values, turns.append)
    assert turns == ["cpu"] * 2 * (2 + 2 + 2)
    assert set(result.found) == {"threads", "prefetch"}
    assert all(rate.median > 0 for c in result.comparisons for rate in c.rates.values())

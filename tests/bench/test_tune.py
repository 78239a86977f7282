from dataclasses import replace

import pytest
import torch
from recipes import normalised

from fastffdi.bench import tune as module
from fastffdi.bench.loader import Settings, planner_over
from fastffdi.bench.tune import alternatives, smallest_of_best, tune
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps import STEPS

CPU = torch.device("cpu")
TINY = normalised(STEPS["resize"]((16, 16)))
DEFAULTS = LoaderSettings(4, 8)
SETTINGS = Settings(CPU, torch.float32, DEFAULTS, seconds=0.05, repeats=3)
VALUES = {"threads": (1, 2, 4), "prefetch": (1, 2)}


@pytest.fixture
def machine(monkeypatch):
    """machine(speed): one with speed(loader settings, pause) images/s; gives what was asked, in order."""

    def made(speed):
        asked = []

        def rates(loader, planner, settings, options, pause, progress):
            asked.append((options, pause))
            return [(speed(option, pause),) * settings.repeats for option in options]

        monkeypatch.setattr(module, "_rates", rates)
        return asked

    return made


def found():
    return tune("cpu", None, SETTINGS, VALUES)


def test_only_the_settings_that_a_loader_has_are_compared():
    assert alternatives("cpu", CPU, 4) == {"threads": (1, 2, 3, 4), "prefetch": (1, 2, 4)}
    assert list(alternatives("torchvision", CPU, 4)) == ["threads"]
    assert list(alternatives("dali", CPU, 4)) == ["threads", "prefetch"]
    dali = alternatives("dali", torch.device("cuda"), 5)
    assert dali["threads"] == (1, 2, 3, 4, 5)
    assert dali["hw_decoder_load"] == (0.0, 0.3, 0.65, 0.9)


def test_of_values_within_the_noise_the_smallest_is_taken():
    assert smallest_of_best([(90, 90, 90), (98, 98, 98), (100, 100, 100)]) == 1
    assert smallest_of_best([(90, 90, 90), (95, 95, 95), (100, 100, 100)]) == 2


def test_a_machine_that_slows_down_slows_all_values():
    assert smallest_of_best([(100, 50, 10), (100, 50, 10)]) == 0
    assert smallest_of_best([(100, 50, 10), (110, 55, 9.9)]) == 1


def test_the_best_of_each_setting_is_found_with_the_others_kept(machine):
    asked = machine(lambda option, pause: min(option.threads, 2) * (option.prefetch if pause else 1))
    tuned = found()
    assert tuned.found == {"threads": 2, "prefetch": 2}
    assert [c.setting for c in tuned.comparisons] == ["threads", "prefetch"]
    assert [c.taken for c in tuned.comparisons] == [2, 2]
    assert [(option.threads, option.prefetch) for option in asked[1][0]] == [(2, 1), (2, 2)]


def test_prefetch_is_found_with_a_consumer_as_fast_as_the_loader(machine):
    asked = machine(lambda option, pause: 10.0)
    found()
    assert [pause for _, pause in asked] == [0.0, 8 / 10, 0.0]


def test_the_gain_is_that_over_the_defaults_in_a_comparison_of_its_own(machine):
    asked = machine(lambda option, pause: 15.0 if option.threads == 1 else 10.0)
    assert found().gain == 1.5
    assert asked[-1][0] == [replace(DEFAULTS, threads=1, prefetch=1), DEFAULTS]


def test_settings_that_turn_out_slower_than_the_defaults_are_not_kept(machine):
    asked = machine(lambda option, pause: 5.0 if len(asked) == 3 and option.threads == 1 else 10.0)
    tuned = found()
    assert [c.taken for c in tuned.comparisons] == [1, 1]
    assert (tuned.found, tuned.gain) == ({"threads": 4, "prefetch": 2}, 1.0)


def test_a_loader_is_tuned_and_each_turn_announced(image_files):
    turns = []
    planner = planner_over(image_files, TINY, SETTINGS)
    tuned = tune("cpu", planner, SETTINGS, {"threads": (1, 2)}, turns.append)
    assert tuned.found["threads"] in (1, 2, 4)
    assert list(tuned.comparisons[0].rates) == [1, 2]
    assert min(rate.median for rate in tuned.comparisons[0].rates.values()) > 0
    assert len(turns) == 2 * 2 * (SETTINGS.repeats + 1)

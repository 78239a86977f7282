from dataclasses import replace

import pytest
import torch
from recipes import normalised

from fastffdi.bench.loader import Settings, planner_over
from fastffdi.bench.tune import alternatives, count, in_turns, smallest_of_best, tune
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps import STEPS

CPU = torch.device("cpu")
TINY = normalised(STEPS["resize"]((16, 16)))
DEFAULTS = LoaderSettings(4, 8)
SETTINGS = Settings(CPU, torch.float32, DEFAULTS, seconds=0.05, repeats=3)
VALUES = {"threads": (1, 2, 4), "prefetch": (1, 2)}


class Machine:
    """Measures speed(loader settings, pause) images/s, three times; keeps what was asked, in order."""

    def __init__(self, speed):
        self.speed, self.asked = speed, []

    def __call__(self, options, pause):
        self.asked.append((options, pause))
        return [(self.speed(option, pause),) * 3 for option in options]


def found(measure):
    return tune(DEFAULTS, VALUES, measure)


def test_only_the_settings_that_a_loader_has_are_compared():
    assert alternatives("cpu", CPU, 4) == {"threads": (1, 2, 3, 4), "prefetch": (1, 2, 4)}
    assert list(alternatives("torchvision", CPU, 4)) == ["threads"]
    assert list(alternatives("dali", CPU, 4)) == ["threads", "prefetch"]
    dali = alternatives("dali", torch.device("cuda"), 5)
    assert dali["threads"] == (1, 2, 3, 4, 5)
    assert list(dali.items())[2:] == [
        ("hw_decoder_load", (0.0, 0.3, 0.65, 0.9)),
        ("decoder_affinity", (False, True)),
        ("jpeg_fancy_upsampling", (True, False)),
    ]


def test_of_values_within_the_noise_the_smallest_is_taken():
    assert smallest_of_best([(90, 90, 90), (98, 98, 98), (100, 100, 100)]) == 1
    assert smallest_of_best([(90, 90, 90), (95, 95, 95), (100, 100, 100)]) == 2


def test_a_machine_that_slows_down_slows_all_values():
    assert smallest_of_best([(100, 50, 10), (100, 50, 10)]) == 0
    assert smallest_of_best([(100, 50, 10), (110, 55, 9.9)]) == 1


def test_values_with_fewer_turns_count_in_the_first_rounds_and_those_without_not_at_all():
    assert smallest_of_best([(50,), (100, 50, 10), (110, 55, 11)]) == 2
    assert smallest_of_best([(), (100, 50), (120,)]) == 2
    assert smallest_of_best([(), ()]) is None


def test_the_best_of_each_setting_is_found_with_the_others_kept():
    machine = Machine(lambda option, pause: min(option.threads, 2) * (option.prefetch if pause else 1))
    tuned = found(machine)
    assert tuned.found == {"threads": 2, "prefetch": 2}
    assert [c.setting for c in tuned.comparisons] == ["threads", "prefetch"]
    assert [c.taken for c in tuned.comparisons] == [2, 2]
    assert [(option.threads, option.prefetch) for option in machine.asked[1][0]] == [(2, 1), (2, 2)]
    assert tuned.comparisons[0].rates == {1: (1,) * 3, 2: (2,) * 3, 4: (2,) * 3}
    assert len([option for options, _ in machine.asked for option in options]) == count(VALUES) == 7


@pytest.mark.parametrize("given", [True, False])
def test_what_changes_pixels_is_measured_but_stays_as_it_is(given):
    machine = Machine(lambda option, pause: 10.0 if option.jpeg_fancy_upsampling else 20.0)
    defaults = replace(DEFAULTS, jpeg_fancy_upsampling=given)
    tuned = tune(defaults, {"jpeg_fancy_upsampling": (True, False)}, machine)
    assert tuned.found == {"jpeg_fancy_upsampling": given}
    assert tuned.comparisons[0].rates == {True: (10.0,) * 3, False: (20.0,) * 3}
    assert tuned.comparisons[0].taken is given


def test_prefetch_is_found_with_a_consumer_as_fast_as_the_loader():
    machine = Machine(lambda option, pause: 10.0)
    found(machine)
    assert [pause for _, pause in machine.asked] == [0.0, 8 / 10, 0.0]


def test_the_gain_is_that_over_the_defaults_in_a_comparison_of_its_own():
    machine = Machine(lambda option, pause: 15.0 if option.threads == 1 else 10.0)
    assert found(machine).gain == 1.5
    assert machine.asked[-1][0] == [replace(DEFAULTS, threads=1, prefetch=1), DEFAULTS]


def test_settings_that_turn_out_slower_than_the_defaults_are_not_kept():
    machine = Machine(lambda option, pause: 5.0 if len(machine.asked) == 3 and option.threads == 1 else 10.0)
    tuned = found(machine)
    assert [c.taken for c in tuned.comparisons] == [1, 1]
    assert (tuned.found, tuned.gain) == ({"threads": 4, "prefetch": 2}, 1.0)


def test_values_that_were_not_tried_in_time_are_left_out():
    def measure(options, pause):
        return [(10.0 * option.threads,) if option.threads < 4 else () for option in options]

    tuned = found(measure)
    assert [c.untried for c in tuned.comparisons] == [[4], []]
    assert [c.taken for c in tuned.comparisons] == [2, 1]
    # The defaults, with 4 threads, have no turn in the last comparison either.
    assert (tuned.found, tuned.gain) == ({"threads": 4, "prefetch": 2}, 1.0)


def test_without_any_turn_the_defaults_stay():
    tuned = found(lambda options, pause: [()] * len(options))
    assert (tuned.found, tuned.gain) == ({"threads": 4, "prefetch": 2}, 1.0)
    assert [c.taken for c in tuned.comparisons] == [4, 2]


def test_the_last_comparison_is_of_the_rounds_that_both_had():
    def measure(options, pause):
        if options[-1] is DEFAULTS:
            return [(30.0, 1.0), (10.0,)]
        return [(10.0,)] * len(options)

    assert found(measure).gain == 3.0


def test_a_loader_is_tuned_and_each_turn_announced(image_files):
    turns = []
    planner = planner_over(image_files, TINY, SETTINGS)
    tuned = tune(DEFAULTS, {"threads": (1, 2)}, in_turns("cpu", planner, SETTINGS, turns.append))
    assert tuned.found["threads"] in (1, 2, 4)
    rates = tuned.comparisons[0].rates
    assert {value: len(each) for value, each in rates.items()} == {1: 3, 2: 3}
    assert min(map(min, rates.values())) > 0
    assert len(turns) == 2 * 2 * (SETTINGS.repeats + 1)

import dataclasses

import numpy as np
import pytest
import torch
from fastffdi.bench.trial import Choice, Task, Trial

from fastffdi.bench.tune import BATCH_SIZES, Search, axes, scaling_hint, taken, tuned
from fastffdi.errors import SettingError
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import Tuned
from fastffdi.recipe.recipe import parse
from fastffdi.recipe.steps import STEPS

STEPS_32 = (STEPS["resize"]((32, 32)), STEPS["normalize"]((0.5,) * 3, (0.5,) * 3))
SIZES = np.array([[100, 100]])
CPU = torch.device("cpu")


@pytest.fixture
def task(images):
    return Task(BatchPlanner.over(images, STEPS_32, 64, 1), "cpu", CPU, torch.float32, threads=4, repeats=3)


class Counted:
    """Turns expected and done."""

    def __init__(self):
        self.total, self.turns = [], []

    def expect(self, total):
        self.total.append(total)

    def done(self, what):
        self.turns.append(what)


@pytest.fixture
def machine(monkeypatch):
    """machine(speed): a machine with speed(choice, pause) images/s, ever slower; gives the turns in order."""

    def made(speed, problem=lambda choice: None):
        turns = []

        def turn(self, task, pause_seconds=0.0):
            turns.append((self.choice, pause_seconds))
            self.problem = problem(self.choice)
            self.rates.append(speed(self.choice, pause_seconds) * 0.9 ** len(turns))

        monkeypatch.setattr(Trial, "turn", turn)
        return turns

    return made


def found(task, sizes=SIZES):
    return Search(task, sizes, Counted()).run()


def trials(*rates):
    return [Trial(Choice(threads, 64), list(each)) for threads, each in enumerate(rates, 1)]


def test_of_what_is_within_the_noise_the_smallest_is_taken():
    one, two, three = trials((90, 90, 90), (98, 98, 98), (100, 100, 100))
    assert taken([one, two, three]) is two
    two.rates = [95, 95, 95]
    assert taken([one, two, three]) is three


def test_a_machine_that_slows_down_slows_all(task):
    one, two = trials((100, 50, 10), (100, 50, 10))
    assert taken([one, two]) is one
    two.rates = [110, 55, 9.9]
    assert taken([one, two]) is two


def test_what_is_preferred_is_taken_where_it_is_within_the_noise():
    one, two = trials((100,), (99,))
    assert taken([one, two], preferred=two.choice) is two
    two.rates = [90]
    assert taken([one, two], preferred=two.choice) is one


def test_what_has_a_problem_is_never_taken():
    one, two = trials((100,), (200,))
    two.problem = "too much memory"
    assert taken([one, two]) is one
    one.problem = "none of that"
    assert taken([one, two]) is None


def test_only_what_the_loader_knows_is_found(task):
    assert axes(task) == {"threads": (1, 2, 3, 4), "batch_size": BATCH_SIZES, "prefetch": (1, 2, 4)}
    assert list(axes(dataclasses.replace(task, loader="torchvision", batch_size=8))) == ["threads"]
    assert list(axes(dataclasses.replace(task, loader="dali", batch_size=8))) == ["threads", "prefetch"]
    dali = dataclasses.replace(task, loader="dali", device=torch.device("cuda"), threads=5)
    assert axes(dali)["threads"] == (1, 2, 3, 4, 5)
    assert axes(dali)["hw_decoder_load"] == (0.0, 0.3, 0.65, 0.9)


def test_what_was_found_is_written_and_nothing_else(task):
    choice = Choice(2, 32, 1, 0.3)
    assert tuned(task, choice) == Tuned(2, 1, 32)
    assert tuned(dataclasses.replace(task, loader="torchvision", batch_size=8), Choice(2, 8)) == Tuned(
        threads=2, batch_size=8
    )


def test_the_best_of_each_setting_is_found(task, machine):
    def speed(choice, pause):
        ahead = min(choice.prefetch, 2) if pause else 1
        return min(choice.threads, 3) * ahead * (2 if choice.batch_size >= 128 else 1)

    machine(speed)
    result = found(task)
    assert result.chosen.choice == Choice(threads=3, batch_size=128, prefetch=2)
    assert result.defaults.choice == Choice(threads=4, batch_size=64)
    assert result.gain == pytest.approx(2 * 0.9)  # in its turn the machine has become slower by that


def test_values_take_turns_and_the_second_time_round_only_where_something_has_changed(task, machine):
    turns = machine(lambda choice, pause: 1.0 + (choice.batch_size == 16))
    result = found(dataclasses.replace(task, threads=1))
    assert [c.name for c in result.comparisons] == ["threads", "batch_size", "prefetch"] * 2
    sizes = [choice.batch_size for choice, _ in turns[1 + 3 :]]
    assert sizes[:15] == [*BATCH_SIZES] * 3
    turns = machine(lambda choice, pause: 1.0 if choice == Choice(1, 64) else 0.5)
    result = found(dataclasses.replace(task, threads=1))
    assert [c.name for c in result.comparisons] == ["threads", "batch_size", "prefetch"]
    assert result.chosen is result.defaults
    assert result.gain == 1


def test_the_prefetch_depth_is_found_with_a_consumer_as_fast_as_the_loader(task, machine):
    turns = machine(lambda choice, pause: 10.0 if choice.prefetch > 1 else 5.0)
    found(dataclasses.replace(task, threads=1, batch_size=8))
    rate = 10 * 0.9**3  # of the third turn: the middle one of three after one that is not counted
    assert sorted({pause for _, pause in turns}) == pytest.approx([0, 8 / rate])


def test_all_turns_are_announced(task, machine):
    machine(lambda choice, pause: 1.0 + (choice.batch_size == 16))
    progress = Counted()
    Search(task, SIZES, progress).run()
    assert progress.total == [1 + 3 * 12 + 3 * 2, 1 + 3 * 12 + 3 * 2, 1 + 3 * 24 + 3 * 2]
    assert len(progress.turns) == progress.total[-1]
    assert progress.turns[0] == "threads 4, batch size 64, prefetch 2"


def test_what_turns_out_slower_than_the_defaults_is_not_chosen(task, machine):
    calls = []

    def speed(choice, pause):
        calls.append(choice)
        final = len(calls) > 1 + 3 * (1 + 3) * 2
        return 1.0 if choice.prefetch == 2 or (pause and not final) else 0.5

    machine(speed)
    result = found(dataclasses.replace(task, threads=1, batch_size=8))
    assert result.comparisons[-1].taken.choice.prefetch == 1
    assert result.chosen is result.defaults


def test_what_would_take_too_much_memory_is_not_tried(task, machine):
    turns = machine(lambda choice, pause: float(choice.batch_size))
    # A batch of 64 of 32 x 32 is 3 x 196 608 bytes ahead and 2 x 786 432 normalised, and 4 decoded images.
    result = found(dataclasses.replace(task, cap_gib=2.3e6 / 2**30))
    assert result.chosen.choice.batch_size == 64
    assert max(choice.batch_size for choice, _ in turns) == 64
    sizes = next(c for c in result.comparisons if c.name == "batch_size")
    assert [trial.problem is None for trial in sizes.trials] == [True, True, True, False, False]
    assert sizes.trials[0].gib * 2**30 == 3 * 49_152 + 2 * 196_608 + 30_000
    assert sizes.trials[-1].problem == "would take 0.01 GiB, more than the cap of 0.00"


def test_the_search_begins_with_a_smaller_batch_where_the_default_is_too_large(task, machine):
    machine(lambda choice, pause: 1.0)
    assert found(dataclasses.replace(task, cap_gib=1e6 / 2**30)).defaults.choice.batch_size == 16


def test_what_takes_too_much_once_it_runs_is_not_taken(task, machine):
    machine(
        lambda choice, pause: float(choice.batch_size),
        lambda choice: "takes 9 GiB" if choice.batch_size > 32 and choice.batch_size != 64 else None,
    )
    assert found(task).chosen.choice.batch_size == 64


def test_where_nothing_is_possible_it_is_said(task, machine):
    with pytest.raises(
        SettingError, match=r"^no settings are possible \(threads 4, batch size 16, prefetch 2"
    ):
        found(dataclasses.replace(task, cap_gib=1e-6))
    machine(lambda choice, pause: 1.0, lambda choice: "DALI failed")
    with pytest.raises(SettingError, match=r"DALI failed\); raise --memory-cap, or take a smaller"):
        found(task)


def recipe(first, decode=False):
    steps = [first, {"normalize": {"mean": "imagenet", "std": "imagenet"}}]
    data = {"train": steps, "eval": steps, **({"decode": {"scaled": True}} if decode else {})}
    return parse(data, "recipe.yaml").resolve((224, 224), (0.5,) * 3, (0.5,) * 3)


RESIZE = {"resize": {"size": [100, 100]}}


def test_large_images_are_better_decoded_smaller(task):
    sizes = np.array([[250, 300], [250, 400], [2000, 150]])
    hint = scaling_hint(recipe(RESIZE), task, sizes)
    assert hint.startswith("The images have 0.1 MP, 2.5 times the sides")
    assert "decode: {scaled: true}" in hint
    assert scaling_hint(recipe(RESIZE), task, np.array([[190, 4000]])) is None


def test_a_recipe_that_does_so_or_cannot_is_left_alone(task):
    sizes = np.array([[2000, 2000]])
    assert scaling_hint(recipe(RESIZE, decode=True), task, sizes) is None
    assert scaling_hint(recipe({"center_crop": {"size": [100, 100]}}), task, sizes) is None
    assert scaling_hint(recipe(RESIZE), dataclasses.replace(task, loader="dali"), sizes) is None

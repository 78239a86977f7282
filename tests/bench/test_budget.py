import pytest

from fastffdi.bench.budget import Budget, quick_budget, turn_seconds


class Clock:
    """Seconds that pass only where a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_runs_until_nothing_is_left():
    clock = Clock()
    budget = Budget(10.0, clock)
    clock.now += 4
    assert (budget.seconds, budget.left) == (10.0, 6.0)
    clock.now += 7
    assert budget.left == 0


def test_a_part_is_of_what_is_left_and_runs_at_the_same_time():
    clock = Clock()
    budget = Budget(10.0, clock)
    clock.now += 2
    part = budget.part(0.25)
    assert part.left == 2.0
    clock.now += 1
    assert (part.left, budget.left) == (1.0, 7.0)


def test_the_quick_protocol_ends_before_its_minute_does():
    assert quick_budget().seconds == 55.0


def shared(costs: dict[str, float], left: float, **weights: float) -> float:
    return turn_seconds(costs, {name: weights.get(name, 1.0) for name in costs}, left, 5, 2)


def test_turns_are_no_longer_than_three_seconds():
    assert shared({"a": 0.1, "b": 0.1}, 100.0) == 3.0


def test_five_turns_of_all_share_the_time():
    assert shared({"a": 0.1, "b": 0.1}, 20.0) == pytest.approx(2.0, abs=0.01)


def test_a_weight_makes_turns_shorter():
    assert shared({"a": 0.1, "b": 0.1}, 12.5, b=0.25) == pytest.approx(2.0, abs=0.01)


def test_where_five_turns_would_be_too_short_there_are_fewer():
    # Four of a second each would take 8 s; three take at most 7.
    assert shared({"a": 0.1, "b": 0.1}, 7.0) == pytest.approx(7 / 6, abs=0.01)


def test_costly_turns_take_what_they_take_and_the_others_the_rest():
    # Two rounds of 4 s and 2 s: a third would not fit.
    assert shared({"a": 4.0, "b": 0.1}, 12.0) == pytest.approx(2.0, abs=0.01)


def test_the_costliest_is_taken_to_have_one_turn_where_two_of_all_do_not_fit():
    # One of 5 s leaves 5 for b and c: two turns of 1.25 s each.
    assert shared({"a": 5.0, "b": 0.1, "c": 0.1}, 10.0) == pytest.approx(1.25, abs=0.01)


def test_what_cannot_have_two_turns_leaves_half_of_the_time_at_least():
    assert shared({"a": 50.0, "b": 0.1}, 10.0) == pytest.approx(1.0, abs=0.01)


def test_the_last_turns_take_what_is_left():
    assert turn_seconds({"a": 0.1, "b": 0.1}, {"a": 1, "b": 1}, 3.0, 1) == pytest.approx(1.5, abs=0.01)
    assert turn_seconds({"a": 0.1, "b": 0.1}, {"a": 1, "b": 1}, 3.0, 2) == pytest.approx(1.5, abs=0.01)
    assert turn_seconds({"a": 0.1, "b": 0.1}, {"a": 1, "b": 1}, 4.0, 2) == pytest.approx(1.0, abs=0.01)

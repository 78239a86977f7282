import itertools
from contextlib import contextmanager

import pytest

from fastffdi.bench import race as module
from fastffdi.bench.budget import Budget
from fastffdi.bench.race import Reopened, race
from fastffdi.bench.stopwatch import Pass
from fastffdi.bench.stream import Stream


class Machine:
    """A clock, and what took turns."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[str] = []

    def clock(self) -> float:
        return self.now


class Loader:
    """A racer whose shortest turn takes the machine `cost` seconds, but `start` seconds at its start."""

    ceiling, weight, problem = False, 1.0, None

    def __init__(self, machine: Machine, name: str, true_cost: float, start: float | None = None) -> None:
        self.machine, self.name, self.true_cost = machine, name, true_cost
        self.start = true_cost if start is None else start
        self.cost = 0.0
        self.passes: list[Pass] = []
        self.cut = self.ended = self.settled = False
        self.limits: list[float] = []

    def open(self, within: float) -> None:
        self.limits.append(within)
        self.cost = self.start
        self.machine.now += min(self.start, within)
        self.ended = self.start > within

    def turn(self, seconds: float, within: float) -> None:
        self.limits.append(within)
        taken = min(max(seconds, self.true_cost), within)
        self.cost = self.true_cost
        self.machine.now += taken
        self.passes.append(Pass(10, 1, taken, 1.0))

    def settle(self) -> None:
        self.settled = True


@pytest.fixture
def machine() -> Machine:
    return Machine()


def run(machine: Machine, seconds: float, *loaders: Loader) -> float:
    return race(loaders, Budget(seconds, machine.clock), machine.told.append)


def counts(*loaders: Loader) -> list[int]:
    return [len(loader.passes) for loader in loaders]


def test_all_are_started_and_then_take_five_turns_in_rounds(machine: Machine):
    a, b = Loader(machine, "a", 0.5), Loader(machine, "b", 0.5)
    assert run(machine, 100.0, a, b) == 3.0
    assert machine.told == ["a", "b"] * 6
    assert [timed.seconds for timed in a.passes] == [3.0] * 5
    assert (machine.now, a.cut, b.cut, a.settled) == (31.0, False, False, True)


def test_turns_are_as_long_as_the_time_allows(machine: Machine):
    a, b = Loader(machine, "a", 0.5), Loader(machine, "b", 0.5)
    assert run(machine, 21.0, a, b) == pytest.approx(1.9, abs=0.01)  # of 20 s, 19 are planned for
    assert counts(a, b) == [5, 5]
    assert 20 < machine.now <= 21


def test_turns_get_shorter_rather_than_fewer_where_one_took_too_long(machine: Machine):
    a, b = Loader(machine, "a", 0.5), Loader(machine, "b", 0.5)
    slow = a.turn

    def turn(seconds: float, within: float) -> None:
        machine.now += 2.0 if not a.passes else 0.0  # something else ran
        slow(seconds, within)

    a.turn = turn
    assert run(machine, 21.0, a, b) < 1.7
    assert counts(a, b) == [5, 5]
    assert machine.now <= 21


def test_the_costliest_is_cut_to_one_turn_where_two_of_all_do_not_fit(machine: Machine):
    slow, quick = Loader(machine, "slow", 12.0, start=6.0), Loader(machine, "quick", 0.1)
    run(machine, 26.0, slow, quick)
    assert counts(slow, quick) == [1, 5]
    assert (slow.cut, quick.cut) == (True, False)
    assert machine.now <= 26


def test_a_turn_may_take_twice_as_long_as_expected_and_no_longer(machine: Machine):
    a, b = Loader(machine, "a", 100.0, start=1.0), Loader(machine, "b", 0.1)
    run(machine, 40.0, a, b)
    assert a.limits[1] == pytest.approx(2 * 3.0)
    assert machine.now <= 40


def test_what_is_not_started_in_its_part_of_the_time_takes_no_turns(machine: Machine):
    a, b = Loader(machine, "a", 50.0), Loader(machine, "b", 0.1)
    run(machine, 40.0, a, b)
    assert a.limits == [40.0 * 2 / 4]
    assert counts(a, b) == [0, 5]
    assert machine.now <= 40


def test_no_round_begins_that_would_not_end_in_time(machine: Machine):
    a, b = Loader(machine, "a", 4.0), Loader(machine, "b", 4.0)
    run(machine, 33.0, a, b)
    # 8 s to start, and 8 s for a round: a fourth does not fit in the last second.
    assert counts(a, b) == [3, 3]
    assert machine.now == 32


def test_no_time_is_no_turn(machine: Machine):
    a = Loader(machine, "a", 1.0)
    run(machine, 0.0, a)
    assert (counts(a), a.settled) == ([0], True)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a reopened stream and its stopwatch were asked for; every pass is of 30 images in 2 s."""
    asked: list = []

    def timed(arrivals, *how):
        asked.append(how)
        return Pass(30, 3, 2.0, 0.0)

    monkeypatch.setattr(module, "timed_pass", timed)
    return asked


def reopened(asked: list, problem: str | None = None) -> Reopened:
    @contextmanager
    def start():
        asked.append("open")
        yield itertools.repeat(10)
        asked.append("closed")

    return Reopened(Stream("tens", start, 9, 4, 5.0, True, problem), 0.25, 2)


def test_a_reopened_stream_runs_only_during_its_turns(opened: list):
    racer = reopened(opened)
    racer.open(5.0)
    assert racer.cost > 0
    assert opened == ["open", (0.001, 2, 4), "closed"]
    racer.turn(0.7, 5.0)
    assert opened[3:] == ["open", (0.7, 2, 4), "closed"]
    assert (racer.passes, racer.cut, racer.ended) == ([Pass(30, 3, 2.0, 0.0)], False, False)


def test_its_start_counts_where_there_was_no_turn(opened: list):
    racer = reopened(opened)
    racer.settle()
    assert (racer.passes, racer.cut) == ([], False)
    racer.open(5.0)
    racer.settle()
    assert (racer.passes, racer.cut) == ([Pass(30, 3, 2.0, 0.0)], True)


def test_a_stream_with_a_problem_has_ended(opened: list):
    assert reopened(opened, "there are no JPEGs").ended

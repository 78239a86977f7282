import json
import time

import pytest
import torch

from fastffdi.training.measures import RunningMeans, WaitClock

CPU = torch.device("cpu")


def tally():
    return RunningMeans(("loss", "accuracy"), CPU)


def numbers(*values):
    return [torch.tensor(float(value)) for value in values]


def test_means_are_over_images_and_not_over_batches():
    sums = tally()
    sums.add(*numbers(6, 3, 4))
    sums.add(*numbers(1, 1, 1))
    assert sums.means() == pytest.approx({"loss": 7 / 5, "accuracy": 4 / 5})


def test_of_nothing_the_means_are_zero():
    assert tally().means() == {"loss": 0.0, "accuracy": 0.0}


def test_halves_are_summed_in_single_precision():
    sums = tally()
    for _ in range(5000):
        sums.add(*(value.bfloat16() for value in numbers(1, 0, 1)))
    assert sums.means()["loss"] == 1


def test_sums_hold_no_graph():
    sums = tally()
    sums.add(torch.ones((), requires_grad=True) * 2, *numbers(0, 1))
    assert not sums._sums.requires_grad


def test_a_peek_shows_the_sums_of_the_peek_before():
    sums = tally()
    sums.add(*numbers(2, 1, 2))
    assert sums.peek() is None
    sums.add(*numbers(10, 1, 2))
    assert sums.peek() == {"loss": 1.0, "accuracy": 0.5}
    assert sums.peek() == {"loss": 3.0, "accuracy": 0.5}


def test_a_loss_of_nothing_is_shown():
    sums = tally()
    sums.add(*numbers(0, 2, 2))
    sums.peek()
    assert sums.peek() == {"loss": 0.0, "accuracy": 1.0}


def test_a_peek_at_nothing_is_no_mistake():
    sums = tally()
    assert [sums.peek(), sums.peek()] == [None, None]


class Copying:
    """A CUDA event that has not come to pass."""

    def query(self):
        return False


def test_a_peek_waits_for_no_copy():
    sums = tally()
    sums.add(*numbers(4, 0, 2))
    sums.peek()
    sums._copied = Copying()
    sums.add(*numbers(100, 0, 1))
    assert [sums.peek(), sums.peek()] == [{"loss": 2.0, "accuracy": 0.0}] * 2


def test_the_clock_adds_up_what_lies_inside(monkeypatch):
    times = iter([100, 101, 103, 105, 106, 110])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    clock = WaitClock(CPU)
    for _ in range(2):
        with clock.waiting():
            pass
    assert clock.read() == (10, 3)


def test_a_clock_goes_on_where_another_one_stood(monkeypatch):
    times = iter([100, 101, 103, 110])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    clock = WaitClock(CPU, seconds=50, waited=7)
    with clock.waiting():
        pass
    assert clock.read() == (60, 9)


def test_sums_go_on_where_others_stood_to_the_bit():
    first, second = tally(), tally()
    first.add(*numbers(0.1, 1 / 3, 3))
    second.load_sums(json.loads(json.dumps(first.sums())))
    for sums in (first, second):
        sums.add(*numbers(0.7, 0.2, 2))
    assert torch.equal(first._sums, second._sums)


def test_a_slow_loader_is_waited_for():
    clock = WaitClock(CPU)
    for _ in range(3):
        with clock.waiting():
            time.sleep(0.02)
        time.sleep(0.001)
    seconds, waited = clock.read()
    assert seconds >= 0.063
    assert 0.06 <= waited < seconds


def test_a_loader_that_is_ahead_is_not():
    clock = WaitClock(CPU)
    with clock.waiting():
        pass
    time.sleep(0.02)
    seconds, waited = clock.read()
    assert 0 <= waited < 0.5 * seconds

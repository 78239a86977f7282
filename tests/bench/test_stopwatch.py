import itertools

import pytest

from fastffdi.bench import stopwatch
from fastffdi.bench.stopwatch import Pass, Quartiles, growing_pass, median_ratio, speed_data, timed_pass


def test_quartiles_interpolate():
    assert Quartiles.of([4.0, 1.0, 2.0, 3.0]) == Quartiles(2.5, 1.75, 3.25)
    assert Quartiles.of([10 / 3]).to_data() == {"median": 3.3, "q25": 3.3, "q75": 3.3}
    assert Quartiles.of([10 / 3]).to_data(3)["median"] == 3.333


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds, that the stopwatch reads; of the CPU, it is twice that."""
    now = [0.0]
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(stopwatch, "cpu_seconds", lambda: 2 * now[0])
    return now


def test_a_pass_counts_after_the_warm_up_until_the_seconds_are_over(clock: list[float]):
    def batches():
        for k in itertools.count():
            clock[0] += 9.0 if k < 3 else 0.5
            yield 10

    timed = timed_pass(batches(), seconds=2.0, warmup=3, group=1)
    assert timed == Pass(images=40, batches=4, seconds=2.0, cpu_seconds=4.0)
    assert (timed.rate, timed.cpu_seconds_per_1000) == (20.0, 100.0)
    assert clock[0] == 29.0


def test_a_pass_ends_with_a_whole_burst(clock: list[float]):
    def bursts():  # three workers deliver 3 batches every 3 seconds
        while True:
            clock[0] += 3.0
            yield from (4, 4, 4)

    assert timed_pass(bursts(), seconds=0.1, warmup=3, group=3).rate == 4.0


def test_a_ratio_is_the_median_of_each_rounds():
    assert median_ratio([10.0, 30.0, 50.0], [10.0, 10.0, 100.0]) == 1.0


def test_speeds_are_rounded_and_none_where_there_are_none():
    assert speed_data([1.26, 3.0]) == {
        "images_per_second": {"median": 2.1, "q25": 1.7, "q75": 2.6},
        "images_per_second_each": [1.3, 3.0],
    }
    assert speed_data([]) == {"images_per_second": None, "images_per_second_each": []}


@pytest.fixture
def arriving(monkeypatch: pytest.MonkeyPatch):
    """arriving(seconds): batches of ten images, each so long after the one before; CPU time is half of it."""
    now = 100.0

    def batches(seconds):
        nonlocal now
        while True:
            now += seconds
            yield 10

    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: now)
    monkeypatch.setattr(stopwatch, "cpu_seconds", lambda: now / 2)
    return batches


def test_a_growing_pass_is_told_after_each_batch_and_ends_with_a_whole_burst(arriving):
    passes = list(growing_pass(arriving(1.0), 2.5, 2, 10.0))
    assert passes == [(Pass(10 * n, n, float(n), n / 2), n == 4) for n in (1, 2, 3, 4)]


def test_a_growing_pass_that_takes_too_long_ends_with_any_batch(arriving):
    assert [timed.batches for timed, _ in growing_pass(arriving(1.0), 0.5, 4, 3.0)] == [1, 2, 3]


def test_a_growing_pass_is_not_told_more_than_four_times_a_second(arriving):
    passes = list(growing_pass(arriving(0.125), 1.0, 1, 10.0))
    assert [timed.batches for timed, _ in passes] == [2, 4, 6, 8]
    assert [ended for _, ended in passes] == [False, False, False, True]

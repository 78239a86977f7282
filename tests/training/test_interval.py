import math
from types import SimpleNamespace

import pytest

from fastffdi.errors import SettingError
from fastffdi.training import interval
from fastffdi.training.interval import Alarm, Interval, time_of


@pytest.mark.parametrize(
    ("text", "seconds", "updates"),
    [
        ("10m", 600, math.inf),
        ("30s", 30, math.inf),
        ("1.5h", 5400, math.inf),
        ("500", math.inf, 500),
        (" 1 ", math.inf, 1),
    ],
)
def test_times_and_numbers_of_updates(text, seconds, updates):
    assert Interval.parse(text, "--save-every") == Interval(seconds, updates)


@pytest.mark.parametrize("text", ["", "0", "0m", "-5", "ten", "10 m", "10d", "1.5", "m"])
def test_another_word_is_refused(text):
    with pytest.raises(SettingError) as caught:
        Interval.parse(text, "--save-every")
    assert str(caught.value) == (
        f"--save-every {text}: give a time such as 10m, or a number of updates such as 500"
    )


def test_updates_since_the_last_time():
    alarm = Alarm(Interval(updates=3), updates=10)
    assert [alarm.is_due(updates) for updates in (11, 12, 13, 14)] == [False, False, True, True]
    alarm.reset(14)
    assert [alarm.is_due(updates) for updates in (15, 17)] == [False, True]


def test_seconds_since_the_last_time(monkeypatch):
    times = iter([100, 159, 160, 161, 200, 221])
    monkeypatch.setattr(interval, "time", SimpleNamespace(monotonic=lambda: next(times)))
    alarm = Alarm(Interval(seconds=60))
    assert [alarm.is_due(1), alarm.is_due(2)] == [False, True]
    alarm.reset(2)
    assert [alarm.is_due(3), alarm.is_due(4)] == [False, True]


def test_a_time_is_no_number_of_updates():
    assert time_of("90s", "--time-limit").seconds == 90
    with pytest.raises(SettingError, match=r"^--time-limit 500: give a time such as 30m or 2h$"):
        time_of("500", "--time-limit")

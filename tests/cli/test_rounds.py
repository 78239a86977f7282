import io

from rich.console import Console

from fastffdi.bench.budget import Budget
from fastffdi.cli.rounds import countdown, rounds


def shown(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=80, highlight=False)


def test_the_time_left_stands_beside_what_is_measured():
    now, screen = 100.0, shown(True)
    with countdown(Budget(55.0, lambda: now), screen) as progress:
        now += 13
        progress("cpu")
    out = screen.file.getvalue()
    assert out.index("starting") < out.index("cpu")
    assert "42 s left" in out


def test_elsewhere_than_on_a_terminal_nothing_is_shown():
    screen = shown(False)
    with countdown(Budget(55.0), screen) as progress:
        progress("cpu")
    with rounds(2, screen) as progress:
        progress("cpu")
    assert screen.file.getvalue() == ""


def test_turns_are_counted():
    screen = shown(True)
    with rounds(2, screen) as progress:
        progress("cpu")
        progress("dali")
    assert "2/2" in screen.file.getvalue()

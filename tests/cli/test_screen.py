"""Progress, as somebody at a terminal sees it."""

import io

import pytest
from rich.console import Console

from fastffdi.cli import screen


@pytest.fixture
def shown(monkeypatch):
    """shown(bar): the line of a bar, where a second passes between two looks at the clock."""
    now = iter(range(1000))
    monkeypatch.setattr(screen.time, "perf_counter", lambda: float(next(now)))
    on = Console(file=io.StringIO(), force_terminal=True, width=120)

    def line(bar):
        console = Console(file=io.StringIO(), width=120)
        console.print(bar._progress.get_renderable())
        return " ".join(console.file.getvalue().split())

    return on, line


def test_it_counts_images_with_their_speed_and_the_time_left(shown):
    on, line = shown
    with screen.bar(7200, "epoch 1/2", on) as bar:
        bar.advance(2, "loss 0.693")  # in one second
        assert "2/7200 2 img/s 0:59:59 left loss 0.693" in line(bar)
        bar.advance(0)
        assert "2/7200 1 img/s 1:59:58 left loss 0.693" in line(bar)


def test_the_time_left_is_that_of_all_epochs(shown):
    on, line = shown
    with screen.bar(100, "epoch 1/2", on, 40) as bar:
        assert line(bar).startswith("epoch 1/2")
        bar.advance(10)
        bar.rename("epoch 2/2")
        assert line(bar).startswith("epoch 2/2")
        assert "50/100 10 img/s 0:00:05 left" in line(bar)


def test_a_total_may_become_known_later(shown):
    on, line = shown
    with screen.counted("painting", on) as count:
        count(2, 12)
        assert "2/12 2 img/s 0:00:05 left" in line(count._bar)


def test_nothing_is_shown_where_there_is_no_terminal():
    file = io.StringIO()
    with screen.bar(10, "epoch 1/1", Console(file=file)) as bar:
        bar.advance(10)
    assert file.getvalue() == ""

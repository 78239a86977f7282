import io

import pytest
from rich.text import Text

from fastffdi.cli.screen import bar
from fastffdi.cli.terminal import Terminal


def printed(*objects: object, terminal: bool = True) -> str:
    """What is written, to a terminal or a file."""
    screen = Terminal()
    screen.file, screen._force_terminal = io.StringIO(), terminal
    screen.print(*objects)
    return screen.file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize(
    "name", ["[bold]x[/bold].jpg", "[/].jpg", "[link=https://a]b", ":smile:.jpg", "1 [2] 'c'"]
)
def test_markup_in_names_means_itself(name: str, terminal: bool) -> None:
    assert printed(f"left out: {name}", terminal=terminal) == f"left out: {name}\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_escapes_and_marks_do_nothing(terminal: bool) -> None:
    assert printed("a\x1b[2J\u202egpj\r", terminal=terminal) == "a\\x1b[2J\\u202egpj\\r\n"


def test_line_breaks_and_rich_text_stay() -> None:
    assert printed("one\ntwo", terminal=False) == "one\ntwo\n"
    assert printed(Text("three"), terminal=False) == "three\n"


def test_a_long_line_is_not_broken() -> None:
    assert printed("x" * 500) == "x" * 500 + "\n"


def test_markup_in_a_bars_title_means_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    screen.file, screen._force_terminal, screen.is_interactive = io.StringIO(), True, True
    with bar(3, "[/] [bold]x", screen) as progress:
        progress.advance(1, "[/red]")
    assert "[/] [bold]x" in screen.file.getvalue()
    assert "[/red]" in screen.file.getvalue()

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastffdi.escapes import escaped

HARMFUL = {
    "a\nb.jpg": "a\\nb.jpg",
    "a\r\tb": "a\\r\\tb",
    "\x1b[31mred\x1b]0;title\x07": "\\x1b[31mred\\x1b]0;title\\x07",
    "\x9b31m": "\\x9b31m",  # the same in one character
    "\x7f\b\b": "\\x7f\\x08\\x08",
    "abc\u202egpj.exe": "abc\\u202egpj.exe",
    "\u2066\u2069\u200e\u200f\u061c": "\\u2066\\u2069\\u200e\\u200f\\u061c",
    "a\u2028b\u2029c\x85d": "a\\u2028b\\u2029c\\x85d",
    "\ufeffa\u200bb": "\\ufeffa\\u200bb",
    "\udcff\udc80.jpg": "\\xff\\x80.jpg",
    "\ud800": "\\ud800",
    "\U000e0041": "\\U000e0041",  # an invisible letter
}


@pytest.mark.parametrize("text", HARMFUL)
def test_what_acts_on_a_terminal_is_shown_and_does_nothing(text: str) -> None:
    assert escaped(text) == HARMFUL[text]


@pytest.mark.parametrize(
    "text", ["", "plain.jpg", "größe 2.jpg", "顔.png", "[bold]x[/]", "<script>&amp;", "C:\\n.jpg", "🙂.png"]
)
def test_what_is_harmless_stays(text: str) -> None:
    assert escaped(text) == text


@given(st.text(st.characters()))
def test_the_result_is_one_line_of_visible_characters(text: str) -> None:
    shown = escaped(text)
    assert shown.isprintable()
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert not any(unicodedata.category(letter).startswith("C") for letter in shown)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f]", shown)
    assert escaped(shown) == shown

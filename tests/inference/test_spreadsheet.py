import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastffdi.inference.spreadsheet import cell, harmless

FORMULAS = [
    *("=1+1.jpg", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", '=HYPERLINK("http://a","b")', "=", "-"),
    *("\t=1", "\r=1", "\n=1", " =1", "  \t@x", "＝1", "－1a", "＋x", "＠x", "-１"),
    *("-1.5e", "+1_0", "-inf"),
]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_run_is_prefixed(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["", "a.jpg", "a=1.jpg", "-1", "+1", "-1.5", "-.5e-3", "+1.", "1", "'=1", "größe"]
)
def test_everything_else_and_numbers_stay(text: str) -> None:
    assert harmless(text) == text


def test_a_cell_is_quoted_but_for_numbers_and_nothing() -> None:
    assert cell('a"b,c;d') == '"a""b,c;d"'
    assert cell("=1") == '"\'=1"'
    assert [cell(text) for text in ("", "-1", "0.25", "1e-9")] == ["", "-1", "0.25", "1e-9"]


@given(st.text())
def test_a_reader_of_csv_gets_the_text_back(text: str) -> None:
    rows = list(csv.reader(io.StringIO(f"{cell(text)},1\n", newline="")))
    assert rows == [[harmless(text), "1"]]
    assert harmless(text) in (text, f"'{text}")

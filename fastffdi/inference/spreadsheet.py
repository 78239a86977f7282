"""Cells of a CSV file that a spreadsheet does not take for formulas.

The convention is OWASP's (CSV Injection): an apostrophe in front, which spreadsheets do not show in a cell of
text, and double quotes around, so that no separator within begins another cell.
"""

from __future__ import annotations

import re

#: What begins a formula, the wide forms of East Asian keyboards among it.
_BEGINNINGS = tuple("=+-@\t\r\n＝＋－＠")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def harmless(text: str) -> str:
    """The text, after an apostrophe where a spreadsheet would run it; a number stays one."""
    begins = text.startswith(_BEGINNINGS) or text.lstrip().startswith(_BEGINNINGS)
    return f"'{text}" if begins and not _NUMBER.fullmatch(text) else text


def cell(text: str) -> str:
    """As `harmless`, as a CSV file has it: numbers and the empty cell as they are, other text in quotes."""
    if not text or _NUMBER.fullmatch(text):
        return text
    return '"' + harmless(text).replace('"', '""') + '"'

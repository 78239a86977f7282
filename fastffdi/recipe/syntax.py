"""What is wrong with a text that is not YAML."""

from __future__ import annotations

import yaml

#: Characters of the line that are shown around the place, and of the reason, which may quote the text.
_SHOWN, _LONGEST = 75, 300


def not_yaml(error: Exception) -> str:
    """The reason in one line; below it, where the place is known, that line of the text and a caret under it.

    `error` is what yaml raised: a YAMLError, or another error for odd values or deep nesting.
    """
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return _one_line(str(error))
    mark = error.problem_mark
    reason = _one_line(f"{_place(mark)}: {error.problem or error.context}")
    if not _line(mark).strip() and error.context and error.context_mark is not None:
        # The end of the text shows nothing; where that begins which lacks an end does.
        mark = error.context_mark
        reason = f"{reason}, {error.context} from {_place(mark)}"
    return f"{reason}\n{_line(mark)}" if _line(mark).strip() else reason


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _place(mark: yaml.Mark) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _line(mark: yaml.Mark) -> str:
    """The line of the text, and a line with the caret; without the latter it is blank where the text is."""
    line, caret = (mark.get_snippet(indent=4, max_length=_SHOWN) or "\n").split("\n", 1)
    return f"{line}\n{caret}" if line.strip() else ""

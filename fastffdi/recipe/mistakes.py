"""The mistakes of a recipe, collected so that they are reported together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from fastffdi.errors import RecipeError

#: Mistakes that are told; the others are counted.
_MOST = 10


class Mistakes:
    """Collects RecipeErrors, each of which says in one line where and what.

    >>> mistakes = Mistakes()
    >>> with mistakes.noted():
    ...     raise RecipeError("train[0]: unknown step")
    >>> mistakes.end()  # raises all of them, one a line
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._lines)

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Keep a RecipeError of the block, which ends there; others pass."""
        try:
            yield
        except Several as error:
            self._lines += error.lines
        except RecipeError as error:
            self._lines.append(str(error))

    def end(self) -> None:
        """Raise RecipeError with what was noted, one line each; nothing where there was nothing."""
        if self._lines:
            raise Several(self._lines)


class Several(RecipeError):
    """Some mistakes at once; `lines` are all of them."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(*first_ten(lines))
        self.lines = lines

    def __reduce__(self) -> tuple[type[Several], tuple[list[str]]]:
        return type(self), (self.lines,)


def first_ten(lines: list[str]) -> list[str]:
    """The mistakes that are told; the last line counts the others."""
    rest = len(lines) - _MOST
    return [*lines[:_MOST], *([f"and {rest} more mistakes"] if rest > 0 else [])]

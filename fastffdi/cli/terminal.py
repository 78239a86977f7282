"""A terminal that names of files do nothing to: no colours, no links, no markup, no turned letters."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from fastffdi.escapes import escaped


class Terminal(Console):
    """rich's console, for text that means itself: each string is printed by `escaped`, line by line."""

    def __init__(self, stderr: bool = False, quiet: bool = False) -> None:
        super().__init__(
            stderr=stderr, quiet=quiet, highlight=False, markup=False, emoji=False, soft_wrap=True
        )

    def print(self, *objects: Any, **how: Any) -> None:
        """As rich's; line breaks in a string are meant as such."""
        super().print(*(_harmless(one) if isinstance(one, str) else one for one in objects), **how)


def _harmless(text: str) -> str:
    return "\n".join(map(escaped, text.split("\n")))

"""Options that belong together, as one decorator of a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: What gives a command something; click.option makes them.
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def grouped(*options: Decorator) -> Decorator:
    """Gives a command all of these, in this order in --help."""

    def give(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):  # the last one given is the first in --help
            command = option(command)
        return command

    return give

"""YAML files as plain data. Whatever is in them, nothing is run, and they take little time and memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from fastffdi.recipe.syntax import not_yaml

#: Bytes of a file. The longest recipe that ships has 2 kB, and yaml reads about 100 kB in a second.
MOST_BYTES = 256 << 10

#: Scalars, lists and mappings, those behind an alias counted each time; and how deep they nest.
MOST_VALUES, DEEPEST = 10_000, 50

#: Characters of a number: yaml also reads 1:59:59, and would take seconds for a long one.
_LONGEST_NUMBER = 100

_T = TypeVar("_T")

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def read_document(path: Path) -> Any:
    """What the YAML file holds: None, numbers, strings, dates, lists and dicts.

    Raises FileNotFoundError, and ValueError, whose arguments are the lines of the reason, for a file that
    cannot be read, is no YAML, or has more in it than the limits above.
    """
    return parse_document(_text(path))


def read_nodes(path: Path) -> yaml.Node | None:
    """As `read_document`, but the nodes: each value as it is written, and where; None for an empty file."""
    return _loaded(_text(path), lambda loader: loader.get_single_node())


def parse_document(text: str) -> Any:
    """As `read_document`, for the text of a file."""
    return _loaded(text, lambda loader: loader.get_single_data())


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read as text ({error})") from None


def _loaded(text: str, get: Callable[[_Loader], _T]) -> _T:
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        return get(loader)
    except _TooMuch:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # the last two: odd dates, deep nesting
        first, *below = not_yaml(error).split("\n")
        raise ValueError(f"is not YAML: {first}", *below) from None
    finally:
        if loader is not None:
            loader.dispose()


class _TooMuch(ValueError):
    """More than the limits."""


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size  # of a pipe 0
        data = b"" if length > MOST_BYTES else file.read(MOST_BYTES + 1)
    if max(length, len(data)) > MOST_BYTES:
        how = f"is {length / 2**20:,.1f} MiB long" if length else "is too long"
        raise _TooMuch(f"{how}, at most {MOST_BYTES >> 10} KiB are read; give a shorter file")
    return data


class _Loader(yaml.SafeLoader):
    """yaml's own, counting what it makes before it makes it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values, self._depth = 0, 0
        self._within: dict[yaml.Node, int] = {}  # values of a node, itself among them, once it is complete

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if node not in self._within:
                raise _TooMuch("has an alias inside what it stands for; write it out")
            self._count(self._within[node])
            return node
        before = self._values
        self._count(1)
        self._depth += 1
        if self._depth > DEEPEST:
            raise _TooMuch(f"nests values more than {DEEPEST} deep; write it flatter")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            raise _TooMuch(f"has a number of {len(node.value):,} characters; quote it if it is a text")
        if node is not None:
            self._within[node] = self._values - before
        return node

    def _count(self, values: int) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            counted = "those behind an alias counted each time"
            raise _TooMuch(f"has more than {MOST_VALUES:,} values, {counted}; write less")

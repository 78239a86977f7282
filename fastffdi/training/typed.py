"""Values of a YAML file as a type asks for them.

They are taken as they are written, since what YAML makes of them is not always what is meant: `off` is false,
`1e-3` a text, `10:30` a number.
"""

from __future__ import annotations

import re
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from yaml.constructor import SafeConstructor

from fastffdi.errors import did_you_mean

_TAG = "tag:yaml.org,2002:"
_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Path: "a path",
    str: "a text",
    list: "a list",
    dict: "a mapping",
}
_NUMBERS = {
    int: r"[+-]?\d[\d_]*",
    float: r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?",
}


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The types of a union; of any other hint itself."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def choices(hint: Any) -> tuple[Any, ...]:
    """The values of the Literals among the types of a hint."""
    return tuple(
        value for kind in alternatives(hint) if get_origin(kind) is Literal for value in get_args(kind)
    )


def read(node: yaml.Node, hint: Any, null: bool = False) -> Any:
    """The value of a node for a field with this type hint, which may be null too.

    Raises ValueError, which says what is not allowed and what is.
    """
    if node.tag == f"{_TAG}null" and (null or type(None) in alternatives(hint)):
        return None
    for kind in alternatives(hint):
        found = _as(node, kind)
        if found is not None:
            return found
    if words := choices(hint):
        raise ValueError(f"unknown {_shown(node)}{did_you_mean(str(node.value), words)}")
    raise ValueError(f"{_shown(node)} is not {' or '.join(_described(hint))}")


def _as(node: yaml.Node, kind: Any) -> Any:
    """The value as a type has it; None where it is none of that type."""
    origin = get_origin(kind) or kind
    if isinstance(node, yaml.SequenceNode):
        return _items(node, kind, origin)
    if isinstance(node, yaml.MappingNode):
        return SafeConstructor().construct_document(node) if origin is dict else None
    if origin in (str, Path):
        text = None if node.tag == f"{_TAG}null" else str(node.value)
        return Path(text).expanduser() if text is not None and origin is Path else text
    if origin is bool:
        return SafeConstructor.bool_values[node.value.lower()] if node.tag == f"{_TAG}bool" else None
    if origin in _NUMBERS and isinstance(node, yaml.ScalarNode):
        plain = node.style is None and re.fullmatch(_NUMBERS[origin], node.value)
        return origin(node.value) if plain else None
    return node.value if origin is Literal and node.value in get_args(kind) else None


def _items(node: yaml.SequenceNode, kind: Any, origin: Any) -> Any:
    """The items of a list or tuple; a tuple has as many as its hint says."""
    hints = get_args(kind)
    if origin not in (list, tuple):
        return None
    if origin is tuple and hints[-1] is not ...:
        if len(hints) != len(node.value):
            return None
    else:
        hints = hints[:1] * len(node.value)
    return origin(read(item, hint) for item, hint in zip(node.value, hints, strict=True))


def _described(hint: Any) -> list[str]:
    names = []
    for kind in alternatives(hint):
        origin = get_origin(kind) or kind
        if origin is tuple:
            hints = [word for word in get_args(kind) if word is not ...]
            names.append(f"a list of {len(hints)}" if ... not in get_args(kind) else "a list")
        elif origin in _WORDS:
            names.append(_WORDS[origin])
    return list(dict.fromkeys(names))


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value) if len(node.value) <= 50 else repr(node.value[:50] + "…")
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"

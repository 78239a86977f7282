"""The description in a checkpoint's header: JSON that anybody may have written, so every value is checked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from fastffdi.data.manifest import LABELS
from fastffdi.recipe.steps.base import LARGEST, shown

#: Characters of the JSON. The longest recipe that ships takes 2 kB.
MOST_CHARACTERS = 1 << 20


def read_description(text: str) -> dict[str, Any]:
    """The values by name, lists of numbers and of labels as tuples.

    Raises ValueError for text that is too long or no mapping, and for a value that is not what it should be;
    names that are missing or unknown are left to the caller.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"{len(text):,} characters long, at most {MOST_CHARACTERS:,} are read")
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("its values nest too deep") from None
    if not isinstance(found, dict):
        raise ValueError(f"{shown(found)} is no mapping")
    for name, (valid, allowed) in CHECKS.items():
        if name in found and not valid(found[name]):
            raise ValueError(f"{name}: {shown(found[name])} is not {allowed}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return (_is_whole(value) and abs(value) < 1 << 63) or (isinstance(value, float) and math.isfinite(value))


def _is_size(value: Any) -> bool:
    return _are(value, lambda side: _is_whole(side) and 1 <= side <= LARGEST, 2)


def _are(value: Any, valid: Callable[[Any], bool], count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(map(valid, value))


def _maps(value: Any, valid: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(map(valid, value.values()))


#: Per name: whether a value is valid, and which ones are.
CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "backbone": (_is_name, "the name of a timm model"),
    "recipe": (lambda value: isinstance(value, dict), "a recipe"),
    "size": (_is_size, f"height and width, from 1 to {LARGEST} pixels"),
    "mean": (lambda value: _are(value, _is_number, 3), "three numbers"),
    "std": (lambda value: _are(value, lambda one: _is_number(one) and one > 0, 3), "three numbers above 0"),
    "epoch": (lambda value: _is_whole(value) and 0 <= value < 1 << 63, "a whole number from 0 on"),
    "seed": (lambda value: _is_whole(value) and abs(value) < 1 << 64, "a whole number"),
    "metrics": (lambda value: _maps(value, lambda one: one is None or _is_number(one)), "numbers by name"),
    "labels": (lambda value: value == list(LABELS), f"{json.dumps(LABELS)}"),
    "versions": (lambda value: _maps(value, _is_name), "versions by name"),
    "weights_data": (_is_name, "what weights saw, in at most 200 characters"),
    "decision": (lambda value: value is None or isinstance(value, dict), "a decision, or null"),
    "averaged": (lambda value: isinstance(value, bool), "true or false"),
}

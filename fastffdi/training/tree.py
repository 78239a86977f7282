"""State dicts of any depth as a JSON document and named tensors: what a safetensors file can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def flatten(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The value as plain JSON data, its tensors put into `tensors` under names that begin with `name`.

    `value` is a tensor, a number, text, None, or a mapping, list or tuple of such.
    """
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):  # as pairs: JSON would turn numbers that are keys into text
        return {"items": [[key, flatten(inner, f"{name}/{key}", tensors)] for key, inner in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [flatten(inner, f"{name}/{k}", tensors) for k, inner in enumerate(value)]}
    if isinstance(value, list):
        return [flatten(inner, f"{name}/{k}", tensors) for k, inner in enumerate(value)]
    return value


def rebuild(data: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `flatten` was given; mappings are dicts."""
    if isinstance(data, list):
        return [rebuild(inner, tensors) for inner in data]
    if not isinstance(data, Mapping):
        return data
    ((kind, inner),) = data.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "tuple":
        return tuple(rebuild(one, tensors) for one in inner)
    return {key: rebuild(one, tensors) for key, one in inner}

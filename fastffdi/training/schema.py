"""The JSON schema of configuration files, by which an editor completes and checks them."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from fastffdi.training import typed

#: Made by `make tables`.
SCHEMA = Path(__file__).with_name("train.schema.json")

_TYPES = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    Path: "string",
    list: "array",
    tuple: "array",
    dict: "object",
    type(None): "null",
}


def schema(kind: type, left_out: tuple[str, ...]) -> dict[str, Any]:
    """The schema for a dataclass of settings, without the fields that are left out."""
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "fastffdi train --config"}
    return {**head, **_section(kind, left_out)}


def _section(kind: type, left_out: tuple[str, ...] = ()) -> dict[str, Any]:
    told, hints = descriptions(kind), get_type_hints(kind)
    properties = {}
    for field in fields(kind):
        if not field.init or field.name in left_out:
            continue
        described = {"description": told[field.name]} if field.name in told else {}
        hint = hints[field.name]
        if isinstance(hint, type) and is_dataclass(hint):
            properties[field.name] = {**described, **_section(hint)}
        else:
            properties[field.name] = {**described, **_value(hint, field.default)}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _value(hint: Any, default: Any) -> dict[str, Any]:
    kinds = [get_origin(kind) or kind for kind in typed.alternatives(hint)]
    names = list(dict.fromkeys(_TYPES[kind] for kind in kinds if kind in _TYPES))
    if default is None and "null" not in names:
        names.append("null")
    out: dict[str, Any] = {}
    if choices := list(typed.choices(hint)):
        out["enum"] = choices + ([None] if "null" in names else [])
    elif names:
        out["type"] = names[0] if len(names) == 1 else names
    if items := next((get_args(kind)[0] for kind in typed.alternatives(hint) if get_args(kind)), None):
        out |= {"items": _value(items, MISSING)} if "array" in names else {}
    return (
        out
        if default is MISSING
        else out | {"default": list(default) if isinstance(default, tuple) else default}
    )


def descriptions(kind: type) -> dict[str, str]:
    """What the docstring says of each field, below `Attributes:`."""
    _, _, below = (kind.__doc__ or "").partition("Attributes:\n")
    found = re.findall(r"^        ([\w, ]+): (.*(?:\n            .*)*)", below.split("\n\n")[0], re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in found for name in names.split(", ")}

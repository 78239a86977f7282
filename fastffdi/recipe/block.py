"""The blocks of a recipe that are not steps: mappings of parameters, validated like those of a step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from fastffdi.errors import RecipeError, did_you_mean
from fastffdi.recipe.steps.base import shown

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

B = TypeVar("B", bound="DataclassInstance")


def read_block(block: type[B], data: Any, source: str, example: str) -> B:
    """A block, a dataclass whose fields are made with `param`, from plain data.

    `source` names it in errors, `example` is one as a recipe would write it. Raises RecipeError.
    """
    fields = {field.name: field for field in dataclasses.fields(block)}
    if not isinstance(data, Mapping):
        raise RecipeError(f"{source}: {shown(data)} is no mapping; write {example}")
    values = {}
    for name, value in data.items():
        if name not in fields:
            raise RecipeError(f"{source}: unknown parameter '{name}'{did_you_mean(str(name), fields)}")
        try:
            values[name] = fields[name].metadata["convert"](value)
        except ValueError as error:
            raise RecipeError(f"{source}: {name}: {error}") from None
    return block(**values)

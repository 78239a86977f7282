"""What a recipe can contain, and which recipes ship: read from the code and the files themselves."""

from __future__ import annotations

import dataclasses
import inspect
import re
from dataclasses import dataclass
from typing import Any

from fastffdi.errors import RecipeError, did_you_mean
from fastffdi.recipe.aliases import ALIASES, class_name
from fastffdi.recipe.decode import Decode
from fastffdi.recipe.mix import Mix
from fastffdi.recipe.recipe import shipped, shipped_folder
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Range, Step, parameters_of

#: In place of a default, for a parameter that has none.
REQUIRED = "…"


@dataclass(frozen=True)
class Entry:
    """A step or block of a recipe.

    Attributes:
        parameters: by name, as a recipe would write their defaults
        torchvision: the class that a step is in torchvision; empty where there is none
        aliases: the step's other names in snake case
    """

    name: str
    meaning: str
    parameters: dict[str, str]
    torchvision: str = ""
    aliases: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The entry as a recipe would write it, `…` where a value must be given."""
        inner = ", ".join(f"{name}: {default}" for name, default in self.parameters.items())
        return f"{self.name}: {{{inner}}}" if inner else self.name


def steps() -> list[Entry]:
    """All steps, in the order of the documentation."""
    return [_step_entry(name, step) for name, step in STEPS.items()]


def blocks() -> list[Entry]:
    """The blocks of a recipe that are not steps."""
    return [_entry("mix", Mix), _entry("decode", Decode)]


def recipes() -> dict[str, str]:
    """The shipped recipes by name, each with the first sentence of the comment that begins its file."""
    return {name: _first_sentence(text(name)) for name in shipped()}


def text(name: str) -> str:
    """The file of a shipped recipe. Raises RecipeError for an unknown name."""
    if name not in shipped():
        raise RecipeError(f"{name}: no shipped recipe has that name{did_you_mean(name, shipped())}")
    return (shipped_folder() / f"{name}.yaml").read_text(encoding="utf-8")


def written(value: Any) -> str:
    """A parameter's value as a recipe would write it."""
    if isinstance(value, Range):
        value = (value.low, value.high)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _step_entry(name: str, kind: type[Step]) -> Entry:
    aliases = tuple(alias for alias, step in ALIASES.items() if step == name and alias.islower())
    return dataclasses.replace(_entry(name, kind), torchvision=class_name(name), aliases=aliases)


def _entry(name: str, kind: type) -> Entry:
    fields = {
        field.name: REQUIRED if field.default is dataclasses.MISSING else written(field.default)
        for field in parameters_of(kind)
    }
    return Entry(name, (inspect.getdoc(kind) or "").partition("\n")[0], fields)


def _first_sentence(recipe: str) -> str:
    lines = recipe.splitlines()
    end = next((k for k, line in enumerate(lines) if not line.startswith("#")), len(lines))
    comment = " ".join(line.lstrip("# ") for line in lines[:end])
    return re.split(r"(?<=\.)\s", comment, maxsplit=1)[0]

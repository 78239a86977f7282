"""Lists of steps from plain data, at any depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastffdi.errors import RecipeError, did_you_mean
from fastffdi.recipe.aliases import ALIASES, INSTEAD
from fastffdi.recipe.mistakes import Mistakes
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step, shown
from fastffdi.recipe.steps.combine import Combined, PythonStep, barred

#: How many steps a part may have, those inside others among them; how many one step may contain, and how deep
#: they may nest: whoever wrote a checkpoint may have meant to make all three endless.
_MOST, _WIDEST, _DEEPEST = 200, 16, 3


def read_steps(entries: Any, source: str, depth: int = 0) -> tuple[Step, ...]:
    """The steps of a list; `source` names it in errors.

    Raises RecipeError: where, what, and the cure, in one line for each step that is wrong.
    """
    if not isinstance(entries, list) or not entries:
        raise RecipeError(
            f"{source}: must be a list of steps, for example [resize: {{size: 256}}, normalize]"
        )
    if not depth:
        _check_count(len(entries), source)
    if depth > _DEEPEST or (depth and len(entries) > _WIDEST):
        raise RecipeError(
            f"{source}: at most {_WIDEST} steps may stand inside another, and at most {_DEEPEST} deep"
        )
    steps, mistakes = [], Mistakes()
    for k, entry in enumerate(entries):
        with mistakes.noted():
            steps.append(_step(entry, f"{source}[{k}]", depth))
    mistakes.end()
    if not depth:
        _check_count(_count(steps), source)
    return tuple(steps)


def _check_count(count: int, source: str) -> None:
    if count > _MOST:
        what = f"{count:,} steps, those inside others counted, are too many"
        raise RecipeError(f"{source}: {what}; give at most {_MOST}")


def _count(steps: Sequence[Step]) -> int:
    return sum(1 + (_count(step.transforms) if isinstance(step, Combined) else 0) for step in steps)


def _step(entry: Any, source: str, depth: int) -> Step:
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise RecipeError(f"{source}: {shown(entry)} is not one step; write name: {{parameter: value}}")
    written, parameters = next(iter(entry.items()))
    name = _own_name(str(written), source)
    parameters = _parameters(name, parameters, source, depth)
    try:
        step = STEPS[name].read(parameters)
    except ValueError as error:
        raise RecipeError(f"{source}: {error}") from None
    if depth and (reason := barred(step)):
        raise RecipeError(f"{source}: {name}: {reason}")
    return step


def _own_name(written: str, source: str) -> str:
    """The step's own name; `written` may be torchvision's."""
    name = ALIASES.get(written, written)
    if name in STEPS:
        return name
    if written in INSTEAD:
        raise RecipeError(f"{source}: '{written}' is no step here: {INSTEAD[written]}")
    raise RecipeError(f"{source}: unknown step '{written}'{did_you_mean(written, STEPS, ALIASES)}")


def _parameters(name: str, given: Any, source: str, depth: int) -> Mapping[str, Any]:
    """The parameters as a mapping, with any inner steps read."""
    if STEPS[name] is PythonStep and isinstance(given, str):
        return {"function": given}
    if not isinstance(given or {}, Mapping):
        raise RecipeError(
            f"{source}: {name}: {shown(given)} are no parameters; write {name}: {{parameter: value}}"
        )
    if issubclass(STEPS[name], Combined) and "transforms" in (given or {}):
        return {**given, "transforms": read_steps(given["transforms"], f"{source}.{name}", depth + 1)}
    return given or {}

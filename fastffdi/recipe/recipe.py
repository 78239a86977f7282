"""Recipes: what the user wrote about pictures, read from YAML and checked when it is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from fastffdi.errors import RecipeError, did_you_mean
from fastffdi.recipe.kernels import Normalize
from fastffdi.recipe.lowering import outline, sizing_point
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import SYMBOLS, Step, probability, real, shown

_IMAGENET = {"size": (224, 224), "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@dataclass(frozen=True)
class Mix:
    """MixUp and CutMix on the batch.

    mixup, cutmix  the α of each one's Beta(α, α); 0 turns it off
    p              how often a picture is mixed at all
    switch         where both are on, how often CutMix is taken
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    p: float = 1.0
    switch: float = 0.5


@dataclass(frozen=True)
class Recipe:
    """Steps for training pictures, steps for evaluation pictures, and mixing (training only)."""

    train: tuple[Step, ...]
    eval: tuple[Step, ...]
    mix: Mix | None = None

    def resolve(
        self,
        size: tuple[int, int],
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> Recipe:
        """The recipe with every `backbone` replaced by these values and every `imagenet` by ImageNet's."""
        backbone = {"size": size, "mean": mean, "std": std}
        train = tuple(_resolved(step, backbone) for step in self.train)
        return Recipe(train, tuple(_resolved(step, backbone) for step in self.eval), self.mix)

    def to_data(self) -> dict[str, Any]:
        """Plain lists and dicts; `parse` reads them back to an equal recipe."""
        data: dict[str, Any] = {
            part: [step.to_data() for step in getattr(self, part)] for part in ("train", "eval")
        }
        return data if self.mix is None else {**data, "mix": dataclasses.asdict(self.mix)}


def shipped() -> list[str]:
    """Names of the recipes that come with fastffdi."""
    return sorted(path.stem for path in _shipped_folder().glob("*.yaml"))


def load(name_or_path: str) -> Recipe:
    """The shipped recipe of that name, or the recipe in that file.

    Raises RecipeError: where, what was given, what is allowed.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        return _from_file(path, name_or_path)
    if name_or_path not in shipped():
        raise RecipeError(
            f"--pipeline {name_or_path}: neither a shipped recipe nor a path that ends in .yaml"
            f"{did_you_mean(name_or_path, shipped())}"
        )
    return _from_file(_shipped_folder() / f"{name_or_path}.yaml", f"pipelines/{name_or_path}.yaml")


def parse(data: Any, source: str) -> Recipe:
    """A recipe from plain lists and dicts; `source` names it in errors."""
    if not isinstance(data, Mapping):
        raise RecipeError(
            f"{source}: a recipe is a mapping with 'train' and 'eval'; this is {type(data).__name__}"
        )
    for key in data:
        if key not in ("train", "eval", "mix"):
            raise RecipeError(
                f"{source}: unknown part '{key}'{did_you_mean(str(key), ('train', 'eval', 'mix'))}"
            )
    recipe = Recipe(
        _steps(data.get("train"), f"{source}: train"),
        _steps(data.get("eval"), f"{source}: eval"),
        _mix(data["mix"], f"{source}: mix") if data.get("mix") is not None else None,
    )
    for part in ("train", "eval"):
        _check(getattr(recipe, part), f"{source}: {part}")
    return recipe


def _from_file(path: Path, shown: str) -> Recipe:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(f"{shown}: no such file; shipped recipes are {', '.join(shipped())}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{shown}: cannot be read as text ({error})") from None
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # the last two: odd dates, deep nesting
        reason = " ".join(str(error).split())
        raise RecipeError(f"{shown}: is not YAML: {reason}") from None
    return parse(data, shown)


def _shipped_folder() -> Path:
    package = Path(str(files("fastffdi")))
    inside = package / "pipelines"
    return inside if inside.is_dir() else package.parent / "pipelines"


def _steps(entries: Any, source: str) -> tuple[Step, ...]:
    if not isinstance(entries, list) or not entries:
        raise RecipeError(
            f"{source}: must be a list of steps, for example [resize: {{size: 256}}, normalize]"
        )
    return tuple(_step(entry, f"{source}[{k}]") for k, entry in enumerate(entries))


def _step(entry: Any, source: str) -> Step:
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise RecipeError(f"{source}: {shown(entry)} is not one step; write name: {{parameter: value}}")
    name, parameters = next(iter(entry.items()))
    if name not in STEPS:
        raise RecipeError(f"{source}: unknown step '{name}'{did_you_mean(str(name), STEPS)}")
    if not isinstance(parameters or {}, Mapping):
        raise RecipeError(
            f"{source}: {name}: {shown(parameters)} are no parameters; write {name}: {{parameter: value}}"
        )
    try:
        return STEPS[name].read(parameters or {})
    except ValueError as error:
        raise RecipeError(f"{source}: {error}") from None


def _mix(data: Any, source: str) -> Mix:
    fields = {field.name for field in dataclasses.fields(Mix)}
    if not isinstance(data, Mapping):
        raise RecipeError(f"{source}: {shown(data)} is no mapping; write mix: {{mixup: 0.2, cutmix: 1.0}}")
    values = {}
    for name, value in data.items():
        if name not in fields:
            raise RecipeError(f"{source}: unknown parameter '{name}'{did_you_mean(str(name), fields)}")
        try:
            values[name] = probability(value) if name in ("p", "switch") else _alpha(value)
        except ValueError as error:
            raise RecipeError(f"{source}: {name}: {error}") from None
    return Mix(**values)


def _alpha(value: Any) -> float:
    if real(value) < 0:
        raise ValueError(f"{value} is negative; 0 turns it off")
    return float(value)


def _check(steps: tuple[Step, ...], source: str) -> None:
    """What only the whole list can show."""
    stand_in = tuple(_resolved(step, _IMAGENET) for step in steps)
    try:
        program = outline(stand_in)
    except ValueError as error:
        raise RecipeError(f"{source}: {error}") from None
    ends = [k for k, kernel in enumerate(program.kernels) if isinstance(kernel, Normalize)]
    if ends != [len(program) - 1]:
        raise RecipeError(f"{source}: must have one normalize, as its last step")
    if sizing_point(program) is None:
        raise RecipeError(
            f"{source}: no step brings all pictures to one size; add for example center_crop: {{size: 224}}"
        )


def _resolved(step: Step, backbone: Mapping[str, Any]) -> Step:
    tables = {"backbone": backbone, "imagenet": _IMAGENET}
    values = {field.name: getattr(step, field.name) for field in dataclasses.fields(step)}
    found = {
        name: tables[value][name] for name, value in values.items() if name in _IMAGENET and value in SYMBOLS
    }
    return dataclasses.replace(step, **found)

"""Recipes: the user's preprocessing, read from YAML and validated when read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastffdi.errors import RecipeError, did_you_mean
from fastffdi.recipe.checks import check
from fastffdi.recipe.decode import Decode, check_decode, read_decode
from fastffdi.recipe.document import read_document
from fastffdi.recipe.mistakes import Mistakes
from fastffdi.recipe.mix import Mix, read_mix
from fastffdi.recipe.read import read_steps
from fastffdi.recipe.steps.base import SYMBOLS, Step
from fastffdi.recipe.steps.combine import Combined, functions, placed

_STEPS = ("train", "eval")
_READERS: dict[str, Callable[[Any, str], Any]] = {
    "train": read_steps,
    "eval": read_steps,
    "mix": read_mix,
    "decode": read_decode,
}
_PARTS = tuple(_READERS)

#: Decode whole images.
DECODE = Decode()

_IMAGENET = {"size": (224, 224), "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@dataclass(frozen=True)
class Recipe:
    """Steps for training images, steps for evaluation images, mixing (training only), and decoding."""

    train: tuple[Step, ...]
    eval: tuple[Step, ...]
    mix: Mix | None = None
    decode: Decode = DECODE

    def resolve(
        self,
        size: tuple[int, int],
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> Recipe:
        """The recipe with every `backbone` replaced by these values and every `imagenet` by ImageNet's."""
        backbone = {"size": size, "mean": mean, "std": std}
        train = tuple(_resolved(step, backbone) for step in self.train)
        return dataclasses.replace(
            self, train=train, eval=tuple(_resolved(step, backbone) for step in self.eval)
        )

    def to_data(self) -> dict[str, Any]:
        """Plain lists and dicts; `parse` reads them back to an equal recipe."""
        data: dict[str, Any] = {
            part: [step.to_data() for step in getattr(self, part)] for part in ("train", "eval")
        }
        if self.mix is not None:
            data["mix"] = dataclasses.asdict(self.mix)
        if self.decode != DECODE:
            data["decode"] = dataclasses.asdict(self.decode)
        return data


def default_recipe(demo: bool) -> str:
    """The recipe without `--pipeline`: standard; demo for demo images, whose traces resizing destroys."""
    return "demo" if demo else "standard"


def shipped() -> list[str]:
    """Names of the recipes that come with fastffdi."""
    return sorted(path.stem for path in shipped_folder().glob("*.yaml"))


def load(name_or_path: str) -> Recipe:
    """The shipped recipe of that name, or the recipe in that file.

    Raises RecipeError: where, what was given, what is allowed.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        return _from_file(path, name_or_path, code=True)
    if name_or_path not in shipped():
        raise RecipeError(
            f"--pipeline {name_or_path}: neither a shipped recipe nor a path that ends in .yaml"
            f"{did_you_mean(name_or_path, shipped())}"
        )
    return _from_file(shipped_folder() / f"{name_or_path}.yaml", f"pipelines/{name_or_path}.yaml", code=False)


def parse(data: Any, source: str, code: bool = False) -> Recipe:
    """A recipe from plain lists and dicts; `source` names it in errors.

    `code` says that its steps for training may name functions to call; those for evaluation never may, since
    prediction takes them from a checkpoint. Nothing is called or imported here. Raises RecipeError with a
    line for each mistake.
    """
    if not isinstance(data, Mapping):
        raise RecipeError(
            f"{source}: a recipe is a mapping with 'train' and 'eval'; this is {type(data).__name__}"
        )
    mistakes = Mistakes()
    for key in data:
        if key not in _PARTS:
            with mistakes.noted():
                raise RecipeError(f"{source}: unknown part '{key}'{did_you_mean(str(key), _PARTS)}")
    # A part that is missing beside an unknown one is most likely the unknown one.
    wanted = [part for part in _PARTS if data.get(part) is not None or (part in _STEPS and not mistakes)]
    found: dict[str, Any] = {"decode": DECODE}
    for part in wanted:
        with mistakes.noted():
            found[part] = _READERS[part](data.get(part), f"{source}: {part}")
    for part in [part for part in _STEPS if part in found]:
        with mistakes.noted():
            _check_steps(found[part], found["decode"], f"{source}: {part}")
    recipe = Recipe(found.get("train", ()), found.get("eval", ()), found.get("mix"), found["decode"])
    with mistakes.noted():
        _check_code(recipe, source, code)
    mistakes.end()
    return recipe


def _check_steps(steps: tuple[Step, ...], decode: Decode, source: str) -> None:
    stand_in = tuple(_resolved(step, _IMAGENET) for step in steps)
    check(stand_in, source)
    check_decode(decode, stand_in, source)


def _check_code(recipe: Recipe, source: str, code: bool) -> None:
    """Only training steps may call a function, and only in a recipe that the user gave by its path."""
    for step in functions(recipe.eval):
        raise RecipeError(
            f"{source}: eval: python: {step.function}: a checkpoint keeps these steps, and runs no code; "
            "leave it out"
        )
    for step in () if code else functions(recipe.train):
        raise RecipeError(
            f"{source}: train: python: {step.function}: runs code, which only a recipe given by its path "
            "may; copy the recipe to a file of your own"
        )


def _from_file(path: Path, shown: str, code: bool) -> Recipe:
    try:
        data = read_document(path)
    except FileNotFoundError:
        raise RecipeError(f"{shown}: no such file; shipped recipes are {', '.join(shipped())}") from None
    except ValueError as error:
        reason, *below = error.args
        raise RecipeError(f"{shown}: {reason}", *below) from None
    recipe, folder = parse(data, shown, code), os.path.abspath(path.parent)
    return dataclasses.replace(recipe, train=placed(recipe.train, folder))


def shipped_folder() -> Path:
    """Where the shipped recipes are: in the package, or beside it in a checkout."""
    package = Path(str(files("fastffdi")))
    inside = package / "pipelines"
    return inside if inside.is_dir() else package.parent / "pipelines"


def _resolved(step: Step, backbone: Mapping[str, Any]) -> Step:
    tables = {"backbone": backbone, "imagenet": _IMAGENET}
    values = {field.name: getattr(step, field.name) for field in dataclasses.fields(step)}
    found: dict[str, Any] = {
        name: tables[value][name] for name, value in values.items() if name in _IMAGENET and value in SYMBOLS
    }
    if isinstance(step, Combined):
        found["transforms"] = tuple(_resolved(inner, backbone) for inner in step.transforms)
    return dataclasses.replace(step, **found)

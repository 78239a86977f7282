"""The settings that the options of `train` and its configuration file come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fastffdi.cli import optimising

if TYPE_CHECKING:
    from fastffdi.training.settings import Settings

#: Options that are in a section of the settings.
_SECTIONS = {
    **dict.fromkeys(("threads", "batch_size", "process", "memory_cap", "max_megapixels"), "loading"),
    **dict.fromkeys(optimising.NAMES, "optimisation"),
}

#: Options whose setting has another name.
_NAMES = {"lr": "learning_rate", "loader": "backend"}

#: Options that are no settings.
_OTHERS = ("config", "loader_settings", "dry_run", "seeds", "folds", "group_by")


def settings(context: click.Context) -> Settings:
    """What is given on the command line, before what a file says, before defaults."""
    from fastffdi.loaders.settings import read_settings
    from fastffdi.training import config

    options = context.params
    given = {} if options["config"] is None else config.read(options["config"])
    if options["loader_settings"] is not None:
        given["loading"] = {**given.get("loading", {}), **read_settings(options["loader_settings"])}
    typed = _typed(context)
    _one_source_of_images(given, typed)
    for name, value in typed.items():
        if name in _SECTIONS:
            given[_SECTIONS[name]] = {**given.get(_SECTIONS[name], {}), name: value}
        else:
            given[_NAMES.get(name, name)] = value
    return config.build(given)


def _typed(context: click.Context) -> dict[str, Any]:
    """The options that were typed; the defaults of the others are those of the settings."""
    return {
        name: value
        for name, value in context.params.items()
        if name not in _OTHERS and context.get_parameter_source(name) == ParameterSource.COMMANDLINE
    }


def _one_source_of_images(given: dict[str, Any], typed: dict[str, Any]) -> None:
    """A folder that is typed takes the place of a file's label files, and the other way round."""
    from fastffdi.training.settings import LABEL_FILES

    if any(name in typed for name in LABEL_FILES):
        given.pop("data", None)
    elif "data" in typed:
        for name in LABEL_FILES:
            given.pop(name, None)

"""The option --loader-settings, the same for every command that runs a loader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def loader_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option; its function gets `loader_settings`, a loaders.settings.Tuned.

    The file's threads and batch size become the defaults of --threads and --batch-size.
    """
    return click.option(
        "--loader-settings",
        type=click.Path(path_type=Path),
        is_eager=True,  # before the options whose defaults it gives
        callback=_read,
        help="File that tune wrote, for what is not given here: threads, prefetch, batch size.",
    )(command)


def _read(context: click.Context, option: click.Parameter, file: Path | None) -> Any:
    from fastffdi.loaders.settings import UNTUNED, read_settings

    if file is None:
        return UNTUNED
    tuned = read_settings(file)
    defaults = {"threads": tuned.threads, "batch_size": tuned.batch_size}
    said = {name: value for name, value in defaults.items() if value is not None}
    context.default_map = {**(context.default_map or {}), **said}
    return tuned

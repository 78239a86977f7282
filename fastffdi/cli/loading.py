"""Options about how images are loaded, the same for every command that has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def loading(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that runs a model --loader, --threads, --loader-process (its `process`), --cache,
    --loader-settings, --device and --amp.
    """
    options = (
        click.option("--loader", default="auto", show_default=True, help="auto, dali, cpu or torchvision."),
        click.option(
            "--threads",
            type=click.IntRange(min=1),
            help="Decoding threads.  [default: the usable cores, at most 16]",
        ),
        click.option(
            "--loader-process/--no-loader-process",
            "process",
            default=None,
            help="Keep the cpu loader's threads in a process of their own.  "
            "[default: where the model is on CUDA]",
        ),
        click.option(
            "--cache",
            type=click.Path(path_type=Path),
            help="Keep decoded images in this folder, and take them from there.",
        ),
        loader_settings,
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
        click.option("--amp", default="auto", show_default=True, help="auto, bf16, fp16 or off."),
    )
    for option in reversed(options):  # the last one given is the first in --help
        command = option(command)
    return command


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

"""Options about loading images, the same for every command that has them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.cli.options import grouped

if TYPE_CHECKING:
    from fastffdi.loaders.settings import LoaderSettings


on_corrupt = click.option(
    "--on-corrupt",
    type=click.Choice(["skip", "fail"]),
    default="skip",
    show_default=True,
    help="What to do with an image that cannot be decoded.",
)

max_megapixels = click.option(
    "--max-megapixels",
    type=click.FloatRange(min=0, min_open=True),
    help="An image with more million pixels counts as one that cannot be decoded.  [default: 178.96]",
)

follow_symlinks = click.option(
    "--follow-symlinks",
    is_flag=True,
    help="Also read images by links that lead out of the folder that was named.  [default: off]",
)

threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Decoding threads.  [default: the usable cores, at most 16]",
)

loader_settings = click.option(
    "--loader-settings",
    type=click.Path(path_type=Path),
    help="File of loader settings, for what is not given here: threads, prefetch, batch size, and how "
    "dali decodes on a GPU.",
)


memory_cap = click.option(
    "--memory-cap",
    type=click.FloatRange(min=0, min_open=True),
    help="GiB for images, of a GPU's memory where dali decodes on it, else of the host's: where they are "
    "large, fewer are decoded ahead.  [default: half of what is free]",
)


#: Not of `loading`, since it is about training.
compiled = click.option(
    "--compile",
    is_flag=True,
    help="Compile the training step with torch.compile, which takes minutes at its beginning, and leave out "
    "the images that fill no batch. On CUDA as CUDA graphs, which is unproven on a GPU.  [default: off]",
)

#: Gives a command that runs a model its options; --loader-process is its `process`.
loading = grouped(
    click.option("--loader", default="auto", show_default=True, help="auto, dali, cpu or torchvision."),
    click.option(
        "--batch-size",
        type=click.IntRange(min=1),
        help="Images per batch, and per update.  [default: 64]",
    ),
    threads,
    click.option(
        "--loader-process/--no-loader-process",
        "process",
        default=None,
        help="Run the cpu loader's threads in a child process.  [default: where the model is on CUDA]",
    ),
    click.option(
        "--cache",
        type=click.Path(path_type=Path),
        help="Keep decoded images in this folder, and read them from there.",
    ),
    loader_settings,
    memory_cap,
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option("--amp", default="auto", show_default=True, help="auto, bf16, fp16 or off."),
)


def merged(
    file: Path | None,
    threads: int | None,
    batch_size: int | None = None,
    process: bool | None = None,
    memory_cap: float | None = None,
    max_megapixels: float | None = None,
) -> LoaderSettings:
    """The settings of these options: what is given, else what the file says, else the defaults."""
    from fastffdi.loaders.settings import LoaderSettings

    return LoaderSettings.merged(
        file,
        threads=threads,
        batch_size=batch_size,
        process=process,
        memory_cap=memory_cap,
        max_megapixels=max_megapixels,
    )


def merged_of(options: dict[str, Any]) -> LoaderSettings:
    """The settings of a command's options by name, of which none is missing."""
    names = ("loader_settings", "threads", "batch_size", "process", "memory_cap", "max_megapixels")
    return merged(*(options[name] for name in names))

"""fastffdi cache"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastffdi.cli.loading import on_corrupt, threads

if TYPE_CHECKING:
    from rich.console import Console

    from fastffdi.cache.plan import CachePlan
    from fastffdi.errors import UndecodableImage
    from fastffdi.loaders.settings import LoaderSettings

_FILE = click.Path(path_type=Path)


@click.command()
@click.option("--cache", "folder", type=_FILE, required=True, help="Folder to keep images in.")
@click.option("--data", type=_FILE, help="Folder as for train.  [default: demo images]")
@click.option(
    "--pipeline", help="A shipped recipe's name, or a file.  [default: standard; demo for the demo images]"
)
@click.option(
    "--backbone", default="efficientnet_b0", show_default=True, help="Whose size the recipe may ask for."
)
@threads
@on_corrupt
@click.option(
    "--clear", is_flag=True, help="Remove all that is kept in the folder, and keep nothing.  [default: off]"
)
def cache(
    folder: Path,
    data: Path | None,
    pipeline: str | None,
    backbone: str,
    threads: int | None,
    on_corrupt: str,
    clear: bool,
) -> None:
    """Keep on disk what every epoch would decode again: images after a recipe's deterministic steps.

    train and predict fill the same folder by themselves with --cache; this does it beforehand, and goes on
    where it was interrupted. An image is decoded again when its file's length or modification time changes,
    or the recipe's beginning does.
    """
    if clear:
        _clear(folder)
        return
    from fastffdi.cache.plan import check_space, estimate, needed
    from fastffdi.cli.loading import merged
    from fastffdi.cli.screen import console

    screen, settings = console(), merged(None, threads)
    skip = on_corrupt == "skip"
    plans = _plans(folder, data, pipeline, backbone, settings, screen, skip)
    screen.print(estimate(plans))
    check_space(plans)
    _fill(plans, settings.threads, screen, skip)
    stored = sum(store.stored for store in needed(plans))
    click.echo(f"{stored:,} images in {folder}; next: fastffdi train … --cache {shlex.quote(str(folder))}")


def _plans(
    folder: Path,
    data: Path | None,
    pipeline: str | None,
    backbone: str,
    settings: LoaderSettings,
    screen: Console,
    skip: bool,
) -> list[CachePlan]:
    """What is to be kept of the training and of the validation images."""
    from fastffdi.data.layout import find_dataset
    from fastffdi.loaders.planner import BatchPlanner
    from fastffdi.model.backbone import load_recipe
    from fastffdi.recipe.recipe import default_recipe

    recipe = load_recipe(pipeline or default_recipe(demo=data is None), backbone)
    if data is None:
        from fastffdi.cli.demo_data import builtin_folder

        data = builtin_folder(screen)
    dataset = find_dataset(data, screen.print)
    planners = (
        BatchPlanner.of_split(recipe, "train", dataset.train, settings, skip_corrupt=skip),
        BatchPlanner.of_split(recipe, "eval", dataset.val, settings, skip_corrupt=skip),
    )
    screen.print(f"data: {dataset.description}")
    return [planner.cache_plan(folder) for planner in planners]


def _fill(plans: list[CachePlan], threads: int, screen: Console, skip: bool) -> None:
    from fastffdi.cache.decoder import fill
    from fastffdi.cli.screen import bar

    skipped: list[UndecodableImage] = []
    decoders = [plan.open() for plan in plans]
    with bar(sum(len(decoder.rows()) for decoder in decoders), "storing", screen) as progress:
        changed = sum(
            fill(
                decoder,
                plan.manifest,
                plan.prefix,
                threads,
                progress.advance,
                skipped if skip else None,
            )
            for plan, decoder in zip(plans, decoders, strict=True)
        )
    if skipped:
        first = min(skipped, key=lambda error: error.path)
        screen.print(
            f"{len(skipped):,} images cannot be decoded and are not stored, the first is {first.path} "
            f"({first.reason})"
        )
    if changed:
        screen.print(
            f"{changed:,} of them changed meanwhile and are not stored; the same command stores them"
        )


def _clear(folder: Path) -> None:
    from fastffdi.cache.folder import clear, readable_bytes, stores

    count = len(stores(folder))
    freed = clear(folder)
    click.echo(
        f"{count} {'store' if count == 1 else 'stores'} removed from {folder}, {readable_bytes(freed)}"
    )

"""fastffdi cache"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from fastffdi.cache.plan import Planned

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
@click.option(
    "--threads", type=click.IntRange(min=1), help="Decoding threads.  [default: the usable cores, at most 16]"
)
@click.option(
    "--clear", is_flag=True, help="Remove all that is kept in the folder, and keep nothing.  [default: off]"
)
def cache(
    folder: Path, data: Path | None, pipeline: str | None, backbone: str, threads: int | None, clear: bool
) -> None:
    """Keep on disk what every epoch would decode again: images after a recipe's deterministic steps.

    train and predict fill the same folder by themselves with --cache; this does it beforehand, and goes on
    where it was interrupted. Images whose file or recipe has changed are never taken from it.
    """
    if clear:
        _clear(folder)
        return
    from fastffdi.cache.plan import check_space, estimate
    from fastffdi.cli.screen import console
    from fastffdi.model.device import choose_threads

    screen, count = console(), choose_threads(threads)
    plans = _plans(folder, data, pipeline, backbone, count, screen)
    screen.print(estimate(plans))
    check_space(plans)
    _fill(plans, count, screen)
    kept = {plan.folder: plan.there for plan in plans}
    click.echo(f"{sum(kept.values()):,} images in {folder}; next: fastffdi train … --cache {folder}")


def _plans(
    folder: Path, data: Path | None, pipeline: str | None, backbone: str, threads: int, screen: Console
) -> list[Planned]:
    """What is to be kept of the training and of the validation images."""
    from fastffdi.cache.plan import Planned
    from fastffdi.data.layout import find_dataset
    from fastffdi.data.source import Files
    from fastffdi.loaders.planner import BatchPlanner
    from fastffdi.model.backbone import preprocessing
    from fastffdi.recipe import recipe as recipes

    name = pipeline or ("demo" if data is None else "standard")
    loaded, own = recipes.load(name), preprocessing(backbone)
    recipe = loaded.resolve(own.size, own.mean, own.std)
    if data is None:
        from fastffdi.cli.demo_data import builtin_folder

        data = builtin_folder(screen)
    dataset, source = find_dataset(data), Files(recipe.decode.scaled)
    parts = (dataset.train, recipe.train), (dataset.val, recipe.eval)
    planners = [BatchPlanner.over(manifest, steps, 64, threads, source=source) for manifest, steps in parts]
    screen.print(f"data: {dataset.description}")
    return [Planned.of(planner, folder, threads) for planner in planners]


def _fill(plans: list[Planned], threads: int, screen: Console) -> None:
    from fastffdi.cache.decoder import fill
    from fastffdi.cli.screen import bar

    planners = [plan.open() for plan in plans]
    with bar(sum(len(plan.sizes) for plan in plans), "storing", screen) as progress:
        without = sum(fill(planner, threads, progress.advance) for planner in planners)
    if without:
        screen.print(
            f"no place for {without:,} of them, whose files have grown: every epoch will decode them again, "
            "unless you --clear the folder and fill it again"
        )


def _clear(folder: Path) -> None:
    from fastffdi.cache.folder import amount, clear, stores

    count = len(stores(folder))
    freed = clear(folder)
    click.echo(f"{count} {'store' if count == 1 else 'stores'} removed from {folder}, {amount(freed)}")

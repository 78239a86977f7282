"""fastffdi cache"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.cli.dataset import data_folder
from fastffdi.cli.loading import follow_symlinks, on_corrupt, threads
from fastffdi.errors import SettingError
from fastffdi.escapes import escaped

if TYPE_CHECKING:
    from rich.console import Console

    from fastffdi.cache.folder import KeptStore
    from fastffdi.cache.plan import CachePlan
    from fastffdi.data.layout import Dataset
    from fastffdi.errors import UndecodableImage
    from fastffdi.loaders.settings import LoaderSettings

_FILE = click.Path(path_type=Path)


@click.command()
@click.option("--cache", "folder", type=_FILE, required=True, help="Folder to keep images in.")
@click.option("--data", type=_FILE, help="Folder as for train.  [default: demo images]")
@click.option(
    "--limit",
    type=click.IntRange(min=2),
    help="Keep the images that train takes with this --limit and --seed.  [default: all]",
)
@click.option(
    "--pipeline", help="A shipped recipe's name, or a file.  [default: standard; demo for the demo images]"
)
@click.option(
    "--backbone", default="efficientnet_b0", show_default=True, help="Whose size the recipe may ask for."
)
@follow_symlinks
@threads
@on_corrupt
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of train, for --limit."
)
@click.option(
    "--list",
    "listing",
    is_flag=True,
    help="Say what is kept in the folder and how large it is, and keep nothing.  [default: off]",
)
@click.option(
    "--clear", is_flag=True, help="Remove all that is kept in the folder, and keep nothing.  [default: off]"
)
def cache(folder: Path, listing: bool, clear: bool, **options: Any) -> None:
    """Keep on disk what every epoch would decode again: images after a recipe's deterministic steps.

    train and predict fill the same folder by themselves with --cache; this does it beforehand, and goes on
    where it was interrupted. Images are kept one by one: more of them, other splits and recipes with the same
    beginning use what is there. An image is decoded again when its file's length or modification time
    changes.
    """
    if listing and clear:
        raise SettingError("--list and --clear: give one of the two")
    if listing or clear:
        _show(folder, clear)
        return
    from fastffdi.cache.plan import check_space, estimate, needed, unused
    from fastffdi.cli.loading import merged
    from fastffdi.cli.screen import console
    from fastffdi.loaders.quarantine import skips

    screen, settings = console(), merged(None, options["threads"])
    skip = skips(options["on_corrupt"])
    plans = _plans(folder, options, settings, screen, skip)
    for line in filter(None, (estimate(plans), unused(folder))):
        screen.print(line)
    check_space(plans)
    _fill(plans, settings.threads, screen, skip)
    stored = sum(store.stored for store in needed(plans))
    click.echo(f"{stored:,} images in {folder}; next: fastffdi train … --cache {shlex.quote(str(folder))}")


def _plans(
    folder: Path, options: dict[str, Any], settings: LoaderSettings, screen: Console, skip: bool
) -> list[CachePlan]:
    """What is to be kept of the training and of the validation images."""
    from fastffdi.loaders.planner import BatchPlanner
    from fastffdi.model.backbone import load_recipe
    from fastffdi.recipe.recipe import default_recipe

    pipeline = options["pipeline"] or default_recipe(demo=options["data"] is None)
    recipe = load_recipe(pipeline, options["backbone"])
    dataset = _dataset(options, screen)
    planners = (
        BatchPlanner.of_split(recipe, "train", dataset.train, settings, skip_corrupt=skip),
        BatchPlanner.of_split(recipe, "eval", dataset.val, settings, skip_corrupt=skip),
    )
    screen.print(f"data: {dataset.description}")
    return [planner.cache_plan(folder) for planner in planners]


def _dataset(options: dict[str, Any], screen: Console) -> Dataset:
    from fastffdi.data.layout import find_dataset

    limit, folder = options["limit"], data_folder(options["data"], screen)
    dataset = find_dataset(folder, screen.print, options["follow_symlinks"])
    return dataset if limit is None else dataset.limit(limit, options["seed"])


def _fill(plans: list[CachePlan], threads: int, screen: Console, skip: bool) -> None:
    from fastffdi.cache.filling import fill_all, kept
    from fastffdi.cli.screen import bar

    skipped: list[UndecodableImage] = []
    try:
        with bar(sum(plan.images for plan in plans), "storing", screen) as progress:
            changed = fill_all(plans, threads, progress.advance, skipped if skip else None)
    except KeyboardInterrupt:
        screen.print(f"interrupted; kept {kept(plans)}; the same command goes on")
        raise SystemExit(130) from None
    if skipped:
        first = min(skipped, key=lambda error: error.path)
        screen.print(
            f"{len(skipped):,} images cannot be decoded and are not stored, the first is "
            f"{escaped(first.path)} ({escaped(first.reason)})"
        )
    if changed:
        screen.print(
            f"{changed:,} of them changed meanwhile and are not stored; the same command stores them"
        )


def _show(folder: Path, clear: bool) -> None:
    """Print a line for each store in the folder and one about all, which are removed if asked for."""
    from fastffdi.cache.folder import readable_bytes, stores
    from fastffdi.cache.plan import makers

    found, ours = stores(folder), makers()
    size = readable_bytes(sum(store.bytes for store in found))
    for store in found:
        click.echo(store.told(ours))
        if clear:
            _remove(store)
    removed = "removed from" if clear else "in"
    click.echo(f"{len(found)} {'store' if len(found) == 1 else 'stores'} {removed} {folder}, {size}")


def _remove(store: KeptStore) -> None:
    store.remove()
    if store.path.is_dir():
        click.echo(f"{store.path} holds other files, and stays")

"""fastffdi preview"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from fastffdi.cli.loading import follow_symlinks
from fastffdi.errors import SettingError

_FILE = click.Path(path_type=Path)
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


@click.command()
@click.option(
    "--data", type=_FILE, help="Folder as for train, or any folder with images.  [default: demo images]"
)
@follow_symlinks
@click.option(
    "--pipeline", help="A shipped recipe's name, or a file.  [default: standard; demo for the demo images]"
)
@click.option(
    "--backbone", default="efficientnet_b0", show_default=True, help="Whose size the recipe may ask for."
)
@click.option(
    "-o", "--output", type=_FILE, default="sheet.png", show_default=True, help="PNG or JPEG file to write."
)
@click.option("--images", type=click.IntRange(min=1), default=6, show_default=True, help="Rows.")
@click.option(
    "--draws", type=click.IntRange(min=1), default=6, show_default=True, help="Columns: one for each epoch."
)
@click.option(
    "--epoch", type=click.IntRange(min=1), default=1, show_default=True, help="The first, as train counts."
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="As for train: a recipe may leave the last unmixed.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--balance", is_flag=True, help="As for train: repeat images of the smaller class.  [default: off]"
)
@click.option("--steps", "stepwise", is_flag=True, help="Show the images after every step.  [default: off]")
@click.option(
    "--eval", "evaluation", is_flag=True, help="Show the recipe's part for evaluation.  [default: off]"
)
def preview(
    data: Path | None,
    follow_symlinks: bool,
    pipeline: str | None,
    backbone: str,
    output: Path,
    images: int,
    draws: int,
    epoch: int,
    epochs: int,
    seed: int,
    balance: bool,
    stepwise: bool,
    evaluation: bool,
) -> None:
    """Draw what a recipe makes of images: what the model is given with that seed, epoch by epoch.

    Images are the first that training comes to. Where the recipe mixes images in that epoch there is a
    second table, with the pairs that it mixes first and their soft labels.
    """
    _check_output(output)
    from fastffdi.cli.dataset import training_images
    from fastffdi.cli.screen import console
    from fastffdi.files import atomic
    from fastffdi.loaders.mix import Mixer
    from fastffdi.loaders.planner import BatchPlanner
    from fastffdi.loaders.settings import LoaderSettings
    from fastffdi.model.backbone import load_recipe
    from fastffdi.preview.sheet import sheet
    from fastffdi.preview.tables import Preview
    from fastffdi.recipe.recipe import default_recipe

    name = pipeline or default_recipe(demo=data is None)
    recipe = load_recipe(name, backbone)
    manifest, described = training_images(data, console(), follow_symlinks)
    if balance and manifest.labels is None:
        raise SettingError("--balance: needs labels, and these images have none; leave it out")
    # The part for evaluation is shown on training images too, in the order of training.
    shown = replace(recipe, train=recipe.eval) if evaluation else recipe
    planner = BatchPlanner.of_split(shown, "train", manifest, LoaderSettings(), seed=seed, balance=balance)
    view = Preview(planner, epoch - 1, images)
    tables = [view.by_step() if stepwise else view.by_epoch(1 if evaluation else draws)]
    mixer = Mixer.of_run(recipe.mix, seed, epochs)
    if mixer is not None and not evaluation and epoch - 1 < mixer.until:
        tables.append(view.mixed(mixer))
    part = "evaluation" if evaluation else "training"
    paper = sheet(f"{Path(name).name} · {part}", f"{described} · seed {seed}", tables)
    with atomic(output) as file:
        paper.save(file, format=_FORMATS[output.suffix.lower()], quality=90)
    click.echo(f"sheet: {output} ({paper.width} × {paper.height})")


def _check_output(output: Path) -> None:
    if output.suffix.lower() not in _FORMATS:
        raise SettingError(f"--output {output}: is no image; name a file that ends in {', '.join(_FORMATS)}")
    if not output.resolve().parent.is_dir():
        raise SettingError(f"--output {output}: there is no folder {output.parent}; make it first")

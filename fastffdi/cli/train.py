"""fastffdi train"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.cli.dataset import data_folder
from fastffdi.cli.loading import compiled, follow_symlinks, loading, max_megapixels, on_corrupt
from fastffdi.cli.optimising import optimising
from fastffdi.cli.train_run import train_one
from fastffdi.cli.train_series import is_series, train_series
from fastffdi.cli.train_settings import settings as settings_of
from fastffdi.world import World

if TYPE_CHECKING:
    from rich.console import Console

    from fastffdi.data.layout import Dataset
    from fastffdi.training.settings import Settings

_FILE = click.Path(path_type=Path)


@click.command()
@click.option(
    "--config",
    type=_FILE,
    help="YAML file of settings, for what is not given here, as config.yaml in the folder of a run.",
)
@click.option(
    "--data",
    type=_FILE,
    help="Folder in the challenge's layout, or with class folders.  [default: demo images]",
)
@click.option("--train-labels", type=_FILE, help="Label file img_name,target, in place of --data.")
@click.option("--train-images", type=_FILE, help="Its images' folder.")
@click.option("--val-labels", type=_FILE, help="Label file of the validation images.")
@click.option("--val-images", type=_FILE, help="Their folder.")
@click.option(
    "--limit",
    type=click.IntRange(min=2),
    help="Use about N images of each split, classes in proportion.  [default: all]",
)
@click.option("--backbone", default="efficientnet_b0", show_default=True, help="Any timm model.")
@click.option("--weights", type=_FILE, help="Start from this file: safetensors or a state dict.")
@click.option(
    "--pretrained/--no-pretrained",
    default=None,
    help="Start from timm's weights.  [default: yes; no for the demo images]",
)
@click.option(
    "--imagenet1k-only",
    is_flag=True,
    help="Refuse weights that saw, or may have seen, more than ImageNet-1k.  [default: off]",
)
@click.option(
    "--pipeline", help="A shipped recipe's name, or a file.  [default: standard; demo for the demo images]"
)
@click.option("--epochs", type=click.IntRange(min=1), default=5, show_default=True)
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-3,
    show_default=True,
    help="Highest learning rate.",
)
@optimising
@click.option(
    "--balance",
    is_flag=True,
    help="Repeat images of the smaller class until classes are equal.  [default: off]",
)
@follow_symlinks
@loading
@compiled
@on_corrupt
@click.option(
    "--max-corrupt",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Share of the images that may be skipped; one always may.",
)
@max_megapixels
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "-o",
    "--output",
    type=_FILE,
    help="Folder for checkpoints and figures.  [default: runs/BACKBONE-DATE-TIME]",
)
@click.option("--overwrite", is_flag=True, help="Replace the run that the folder holds.  [default: off]")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="must",
    metavar="[auto]",
    help="Go on with the run that the folder holds; auto: or begin one, where it holds none.  [default: off]",
)
@click.option(
    "--sync-bn",
    is_flag=True,
    help="With torchrun, each process on a GPU: compute BatchNorm over the images of all.  [default: off]",
)
@click.option(
    "--save-every",
    default="10m",
    show_default=True,
    metavar="TIME|UPDATES",
    help="How often to save what --resume goes on from: 30s, 10m, 2h, or a number of updates.",
)
@click.option(
    "--time-limit",
    metavar="TIME",
    help="End after 30m, 2h …, as at a signal, with the best model so far.  [default: none]",
)
@click.option(
    "--holdout",
    metavar="COLUMN=VALUE",
    help="Keep images with that value in a column of the label files out, and score them at the end.  "
    "[default: off]",
)
@click.option(
    "--seeds",
    metavar="N,N,…",
    help="Train once with each of these seeds, in folders of --output, and say the mean AUC.  [default: off]",
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    help="Train as often, each time validated on another part of all images.  [default: off]",
)
@click.option("--group-by", metavar="COLUMN", help="Images with the same cell there stay in one fold.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be done, and about how long it would take; write nothing.  [default: off]",
)
@click.pass_context
def train(context: click.Context, /, **options: Any) -> None:
    """Train a real/fake classifier and keep the best epoch by validation AUC.

    --data DIR holds trainset_label.txt and valset_label.txt (img_name,target; 1 = fake) with trainset/ and
    valset/, also under phase1/; or train/real, train/fake, val/real, val/fake.
    """
    from fastffdi.cli.screen import console

    screen = console()
    remarks: list[str] = []
    settings = settings_of(context)
    builtin = data_folder(None, screen) if settings.demo else None
    if is_series(options):
        train_series(context, settings, builtin, screen)
        return
    dataset = settings.dataset(remarks.append, builtin)
    from fastffdi.audit.audit import quick_findings
    from fastffdi.data.doubts import doubts

    remarks += [f"data: {dataset.description}", *doubts(dataset)]
    if World.here().first:
        remarks += quick_findings(dataset, settings.loading.threads)
    if options["dry_run"]:
        _rehearse(settings, dataset, remarks, screen)
        return
    train_one(settings, dataset, remarks, screen, options)


def _rehearse(settings: Settings, dataset: Dataset, remarks: list[str], screen: Console) -> None:
    from fastffdi.training.rehearsal import rehearse

    told = rehearse(settings, dataset, remarks.append)
    screen.print("\n".join(remarks))
    if not World.here().first:
        return
    click.echo("dry run: nothing is written; a few batches were trained, and are forgotten")
    for topic, words in told.items():
        click.echo(f"  {topic:<9} {words}")

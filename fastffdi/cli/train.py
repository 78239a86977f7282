"""fastffdi train"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.cli import interrupts
from fastffdi.cli.dataset import data_folder
from fastffdi.cli.loading import compiled, follow_symlinks, loading, max_megapixels, on_corrupt
from fastffdi.errors import SettingError
from fastffdi.world import World

if TYPE_CHECKING:
    from rich.console import Console

    from fastffdi.data.labels import Say
    from fastffdi.data.layout import Dataset
    from fastffdi.training.experiment import Experiment
    from fastffdi.training.keeper import Stopped
    from fastffdi.training.settings import Settings

_FILE = click.Path(path_type=Path)


@click.command()
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
    help="Highest learning rate (AdamW, warm-up, cosine).",
)
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
def train(**options: Any) -> None:
    """Train a real/fake classifier and keep the best epoch by validation AUC.

    --data DIR holds trainset_label.txt and valset_label.txt (img_name,target; 1 = fake) with trainset/ and
    valset/, also under phase1/; or train/real, train/fake, val/real, val/fake.
    """
    from fastffdi.cli.screen import console

    screen = console()
    remarks: list[str] = []
    dataset, demo = _dataset(options, screen, remarks.append)
    settings = _settings(options, None if demo else dataset)
    from fastffdi.audit.audit import quick_findings
    from fastffdi.data.doubts import doubts
    from fastffdi.training.experiment import prepare

    remarks += [f"data: {dataset.description}", *doubts(dataset)]
    if World.here().first:
        remarks += quick_findings(dataset, settings.loading.threads)
    with interrupts.last_words():
        experiment = prepare(settings, dataset, remarks.append)
    if options["loader_settings"] is not None:
        remarks.append(f"loader settings: {settings.loading.described()}")
    screen.print("\n".join(remarks))  # only now, so that an error stands alone
    from fastffdi.training.keeper import Stopped

    try:
        with interrupts.last_words():
            _run(experiment, screen)
    except Stopped as stopped:
        raise _with_command(stopped, experiment.settings.output, options) from None
    finally:
        experiment.close()


def _with_command(stopped: Stopped, output: Path, options: dict[str, Any]) -> Stopped:
    """The error with the command that goes on: the one that was given, where it says so already."""
    from fastffdi.training.keeper import Stopped

    words = [word for word in sys.argv[1:] if word != "--overwrite"]
    if options["output"] is None:
        words += ["--output", str(output)]
    if stopped.resumable and options["resume"] is None:
        words.append("--resume")
    how = "go on" if stopped.resumable else "begin again"
    command = shlex.join(["fastffdi", *words])
    if not World.here().alone:
        command = f"torchrun … -m {command}"
    message = f"{stopped}; {how} with: {command}"
    return Stopped(message, stopped.number, stopped.resumable)


def _dataset(options: dict[str, Any], screen: Console, say: Say) -> tuple[Dataset, bool]:
    """The data asked for, and whether it is the built-in demo set."""
    from fastffdi.data.layout import find_dataset

    data, limit = options["data"], options["limit"]
    files = {name: options[name] for name in ("train_labels", "train_images", "val_labels", "val_images")}
    demo = data is None and not any(files.values())
    if any(files.values()):
        dataset = _labelled(data, files, say, options["follow_symlinks"])
    else:
        dataset = find_dataset(data_folder(data, screen), say, options["follow_symlinks"])
    return (dataset if limit is None else dataset.limit(limit, options["seed"])), demo


def _labelled(data: Path | None, files: dict[str, Path | None], say: Say, follow_symlinks: bool) -> Dataset:
    from fastffdi.data.layout import label_files

    given = {name: path for name, path in files.items() if path is not None}
    missing = [f"--{name.replace('_', '-')}" for name in files if name not in given]
    if data is not None or missing:
        problem = "--data" if data is not None else f"{' and '.join(missing)} missing"
        raise SettingError(
            f"{problem}: give either --data, or all of --train-labels, --train-images, --val-labels and "
            "--val-images"
        )
    return label_files(**given, say=say, follow_symlinks=follow_symlinks)


def _settings(options: dict[str, Any], data: Dataset | None) -> Settings:
    from fastffdi.cli.loading import merged
    from fastffdi.training.settings import Settings

    file, process = options["loader_settings"], options["process"]
    return Settings(
        backbone=options["backbone"],
        pipeline=options["pipeline"],
        epochs=options["epochs"],
        learning_rate=options["lr"],
        output=options["output"],
        loading=merged(
            file,
            options["threads"],
            options["batch_size"],
            process,
            options["memory_cap"],
            options["max_megapixels"],
        ),
        backend=options["loader"],
        device=options["device"],
        amp=options["amp"],
        pretrained=options["pretrained"],
        weights=options["weights"],
        imagenet1k_only=options["imagenet1k_only"],
        overwrite=options["overwrite"],
        balance=options["balance"],
        seed=options["seed"],
        cache=options["cache"],
        compile=options["compile"],
        on_corrupt=options["on_corrupt"],
        max_corrupt=options["max_corrupt"],
        save_every=options["save_every"],
        resume=options["resume"],
        sync_bn=options["sync_bn"],
        follow_symlinks=options["follow_symlinks"],
        data=data,
    )


def _run(experiment: Experiment, screen: Console) -> None:
    from fastffdi.cli.screen import bar
    from fastffdi.loaders.quarantine import TABLE as QUARANTINE
    from fastffdi.training.folder import BEST
    from fastffdi.training.log import line, shown

    epochs, output = experiment.settings.epochs, experiment.settings.output
    first = min(experiment.place.epoch + 1, epochs)
    with bar(experiment.images, f"epoch {first}/{epochs}", screen, experiment.place.images) as progress:

        def advance(done: int, means: dict[str, float] | None) -> None:
            progress.advance(done, None if means is None else f"loss {means['loss']:.3f}")

        for result in experiment.run(advance):
            screen.print(line(result, epochs))
            if result.epoch + 1 < epochs:
                progress.restart(f"epoch {result.epoch + 2}/{epochs}")
    best = experiment.best
    assert best is not None
    if not experiment.group.world.first:
        return
    click.echo(f"best: epoch {best.epoch + 1}, validation AUC {shown(best.validation['auc'])}")
    click.echo(f"checkpoint: {output / BEST}")
    if experiment.corrupt:
        screen.print(
            f"images that cannot be decoded: {len(experiment.corrupt)}, listed in {output / QUARANTINE}"
        )
    screen.print(f"next: fastffdi predict {shlex.quote(str(output / BEST))} FOLDER -o submit.csv")

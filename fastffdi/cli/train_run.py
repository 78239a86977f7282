"""One run of `train`: its progress, what came out of it, and how to go on where it was stopped."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.cli import interrupts
from fastffdi.world import World

if TYPE_CHECKING:
    from rich.console import Console

    from fastffdi.data.layout import Dataset
    from fastffdi.training.experiment import Experiment
    from fastffdi.training.holdout import HeldOut
    from fastffdi.training.interval import Alarm
    from fastffdi.training.keeper import Stopped
    from fastffdi.training.result import EpochResult
    from fastffdi.training.settings import Settings


def train_one(
    settings: Settings,
    dataset: Dataset,
    remarks: list[str],
    screen: Console,
    options: dict[str, Any],
    folder: Path | None = None,
    time_limit: Alarm | None = None,
    begun: bool = False,
) -> Experiment:
    """Train to the end, or until the time is over; the experiment is closed.

    Of a series of runs, `folder` is the one that its command names, and `begun` says that there is something
    to go on from already. Raises Stopped with the command that goes on.
    """
    from fastffdi.training.keeper import Stopped
    from fastffdi.training.preparation import prepare

    with interrupts.last_words():
        experiment = prepare(settings, dataset, remarks.append)
    experiment.command = shlex.join(["fastffdi", *sys.argv[1:]])
    if time_limit is not None:
        experiment.time_limit = time_limit
    if options["loader_settings"] is not None:
        remarks.append(f"loader settings: {settings.loading.described()}")
    screen.print("\n".join(remarks))  # only now, so that an error stands alone
    folder = folder or experiment.settings.output
    try:
        with interrupts.last_words():
            _run(experiment, screen, options, folder)
    except Stopped as stopped:
        stopped.resumable |= begun
        raise with_command(stopped, folder, options) from None
    finally:
        experiment.close()
    return experiment


def with_command(stopped: Stopped, output: Path, options: dict[str, Any]) -> Stopped:
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


def _which(experiment: Experiment, best: EpochResult) -> str:
    """Which epoch is the best, and why there are no more."""
    which = f"epoch {best.epoch + 1}"
    if experiment.unfinished is best:
        return f"{which}, of which {experiment.place.images} images were trained"
    if experiment.out_of_patience:
        return f"{which}, with none better in {experiment.settings.patience} more"
    return which


def _of_held_out(found: HeldOut) -> str:
    """What the model makes of images of a kind it has not seen."""
    from fastffdi.training.log import shown

    beside = f" beside {found.beside} validation images" * bool(found.beside)
    ends = found.auc_interval
    how = "" if ends is None else f", 95 % interval {shown(ends.low)} … {shown(ends.high)}"
    return f"held out, {found.of}: {found.images} images{beside}, AUC {shown(found.auc)}{how}"


def _run(experiment: Experiment, screen: Console, options: dict[str, Any], folder: Path) -> None:
    from fastffdi.cli.screen import bar
    from fastffdi.loaders.quarantine import TABLE as QUARANTINE
    from fastffdi.training.folder import BEST
    from fastffdi.training.log import line, shown

    epochs, output = experiment.settings.epochs, experiment.settings.output
    first, each = min(experiment.place.epoch + 1, epochs), experiment.images
    done = experiment.place.epoch * each + experiment.place.images
    with bar(epochs * each, f"epoch {first}/{epochs}", screen, done) as progress:

        def advance(done: int, means: dict[str, float] | None) -> None:
            progress.advance(done, None if means is None else f"loss {means['loss']:.3f}")

        for result in experiment.run(advance):
            screen.print(line(result, epochs))
            if result.epoch + 1 < epochs:
                progress.rename(f"epoch {result.epoch + 2}/{epochs}")
    best = experiment.best
    assert best is not None
    if not experiment.processes.world.first:
        return
    click.echo(f"best: {_which(experiment, best)}, validation AUC {shown(best.validation['auc'])}")
    if experiment.held_out is not None:
        click.echo(_of_held_out(experiment.held_out))
    click.echo(f"checkpoint: {output / BEST}")
    if experiment.corrupt:
        screen.print(
            f"images that cannot be decoded: {len(experiment.corrupt)}, listed in {output / QUARANTINE}"
        )
    if experiment.stopped is not None:
        over = f"--time-limit {experiment.settings.time_limit} is over"
        screen.print(f"{over}: {with_command(experiment.stopped, folder, options)}")
    screen.print(f"next: fastffdi predict {shlex.quote(str(output / BEST))} FOLDER -o submit.csv")

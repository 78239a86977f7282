"""fastffdi tune"""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.errors import SettingError

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from fastffdi.bench.trial import Task, Trial
    from fastffdi.bench.tune import Comparison, Found
    from fastffdi.data.manifest import Manifest
    from fastffdi.recipe.recipe import Recipe

_FILE = click.Path(path_type=Path)
_METHOD = (
    "images/s of the {loader} loader to the normalised {dtype} batch on {device}, with no model beside it: "
    "medians and quartiles of {repeats} turns of at least {seconds:g} s, values taking turns. Of the values "
    "within {noise:.0%} of the fastest, by the rounds' ratios, the smallest is taken; another batch size "
    "only where it is faster than that. GiB: as estimated, or as measured where that is more."
)
_PACED = "prefetch: the consumer took as long over each batch as the loader, which is the hardest case."
_BATCH = "The batch size also changes what is learnt: a --batch-size that train is given wins over the file."
_ORIGIN = "The loader's settings for this machine, found by `fastffdi tune`."


@click.command()
@click.option(
    "--data", type=_FILE, help="Folder as for train, or any folder with images.  [default: demo images]"
)
@click.option(
    "--pipeline",
    default="standard",
    show_default=True,
    help="A shipped recipe's name, or a file; its training part.",
)
@click.option(
    "--backbone", default="efficientnet_b0", show_default=True, help="Whose size the recipe may ask for."
)
@click.option("--loader", default="auto", show_default=True, help="auto, dali, cpu or torchvision.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="The most threads to try.  [default: the usable cores, at most 16]",
)
@click.option(
    "--batch-size", type=click.IntRange(min=1), help="Keep to this one.  [default: 16 to 256 are tried]"
)
@click.option(
    "--memory-cap",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GIB",
    help="Memory that a loader may take.  [default: half of what is free]",
)
@click.option(
    "--device", default="auto", show_default=True, help="Where batches go: auto, cpu, cuda, cuda:N."
)
@click.option("--amp", default="auto", show_default=True, help="Their precision: auto, bf16, fp16 or off.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Least length of a turn.",
)
@click.option(
    "--repeats", type=click.IntRange(min=3), default=5, show_default=True, help="Turns of each value."
)
@click.option(
    "-o", "--output", type=_FILE, default="loader.yaml", show_default=True, help="YAML file to write."
)
def tune(data: Path | None, output: Path, **options: Any) -> None:
    """Find the loader's best settings on this machine, and write them for --loader-settings.

    Threads, batch size, prefetch depth and, for dali on a GPU, the share of its hardware decoder are found
    one after the other by measuring.
    """
    if output.is_dir():
        raise SettingError(f"--output {output}: is a folder; name the YAML file to write")
    if not output.resolve().parent.is_dir():
        raise SettingError(f"--output {output}: there is no folder {output.parent}; make it first")
    from fastffdi.bench import machine
    from fastffdi.bench.tune import Search, scaling_hint, tuned
    from fastffdi.cli.dataset import training_images
    from fastffdi.cli.screen import console
    from fastffdi.cli.turns import turns

    screen, facts = console(), machine.facts()
    recipe = _recipe(options["pipeline"], options["backbone"])
    manifest, described = training_images(data, screen)
    task, sizes = _task(manifest, recipe, options)
    where = f"loader {task.loader} on {task.device}"
    screen.print(f"data: {described}\n{where}, memory cap {task.cap_gib:.1f} GiB")
    with turns(None, screen) as bar:
        found = Search(task, sizes, bar).run()
    sentence, written = machine.sentence(facts, facts["cores"]), tuned(task, found.chosen.choice)
    _show(found, task, sentence)
    if hint := scaling_hint(recipe, task, sizes):
        click.echo(hint)
    about = f"{described}; recipe {options['pipeline']}; {where}."
    warning = [_BATCH] if task.batch_size is None else []
    written.write(output, [_ORIGIN, *warning, about, _speed(found), sentence])
    click.echo(f"settings: {output}")
    click.echo(f"next: {_command(output, data, options)}")


def _recipe(pipeline: str, backbone: str) -> Recipe:
    from fastffdi.model.backbone import preprocessing
    from fastffdi.recipe import recipe

    own = preprocessing(backbone)
    return recipe.load(pipeline).resolve(own.size, own.mean, own.std)


def _task(manifest: Manifest, recipe: Recipe, options: dict[str, Any]) -> tuple[Task, np.ndarray]:
    """What to tune, and the sizes of some of the images."""
    from fastffdi.bench.memory import available_gib, sample_sizes
    from fastffdi.bench.trial import Task
    from fastffdi.bench.tune import BATCH_SIZE
    from fastffdi.data.source import Files
    from fastffdi.loaders import factory
    from fastffdi.loaders.planner import BatchPlanner
    from fastffdi.model import precision
    from fastffdi.model.device import choose_device, choose_threads

    device, threads = choose_device(options["device"]), choose_threads(options["threads"])
    dtype, kind = (
        precision.choose(options["amp"], device).dtype,
        factory.choose_loader(options["loader"], device),
    )
    source = Files(recipe.decode.scaled)
    planner = BatchPlanner.over(manifest, recipe.train, BATCH_SIZE, threads, shuffle=True, source=source)
    cap_gib = options["memory_cap"] or (available_gib() or math.inf) / 2
    size, seconds, repeats = options["batch_size"], options["seconds"], options["repeats"]
    task = Task(planner, kind, device, dtype, threads, size, cap_gib, seconds, repeats)
    return task, sample_sizes(manifest, threads)


def _show(found: Found, task: Task, sentence: str) -> None:
    from rich.console import Console

    from fastffdi.bench.tune import NOISE

    screen = Console(highlight=False, soft_wrap=True)
    for comparison in found.comparisons:
        screen.print(_table(comparison))
    to_loader_error = {**vars(task), "dtype": str(task.dtype).removeprefix("torch."), "noise": NOISE}
    screen.print(_METHOD.format_map(to_loader_error))
    for line, apt in ((_PACED, any(c.paced for c in found.comparisons)), (_BATCH, task.batch_size is None)):
        if apt:
            screen.print(line)
    screen.print(sentence)
    screen.print(_speed(found))


def _table(comparison: Comparison) -> Table:
    from rich.table import Table

    name, others = _named(comparison.name), comparison.taken.choice.described(comparison.name)
    table = Table(title=f"{name}, with {others}", title_justify="left")
    for column in (name, "images/s", "quartiles", "GiB"):
        table.add_column(column, justify="right")
    table.add_column("")
    for trial in comparison.trials:
        mark = trial.problem or ("taken" if trial is comparison.taken else "")
        table.add_row(str(getattr(trial.choice, comparison.name)), *_figures(trial), mark)
    return table


def _figures(trial: Trial) -> tuple[str, str, str]:
    from fastffdi.bench.stopwatch import Quartiles

    if trial.problem is not None:
        return "–", "–", "–"
    speed = Quartiles.of(trial.rates)
    return f"{speed.median:.0f}", f"{speed.q25:.0f} … {speed.q75:.0f}", f"{trial.gib:.2f}"


def _speed(found: Found) -> str:
    """What was found, in a sentence."""
    chosen, defaults = found.chosen, found.defaults
    what = f"{chosen.choice.described()}: {chosen.rate:.0f} images/s"
    if chosen is defaults:
        return f"The defaults hold: {what}."
    before = defaults.problem or f"{defaults.rate:.0f}, {found.gain:.2f}×"
    return f"{what}; the defaults, {defaults.choice.described()}: {before}."


def _named(name: str) -> str:
    return name.replace("_", " ")


def _command(output: Path, data: Path | None, options: dict[str, Any]) -> str:
    """The training that the settings are for."""
    given = {"data": data, **{name: options[name] for name in ("pipeline", "backbone")}}
    if options["loader"] != "auto":
        given["loader"] = options["loader"]
    words = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    return shlex.join(["fastffdi", "train", "--loader-settings", str(output), *words])

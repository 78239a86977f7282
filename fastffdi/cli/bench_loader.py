"""fastffdi bench-loader"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.errors import SettingError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fastffdi.bench.loader import Result, Settings

_METHOD = (
    "images/s to the normalised {dtype} batch on {device}, batches of {batch_size}; median and quartiles "
    "of {repeats} turns of at least {seconds:g} s each, loaders taking turns, warm-up not counted; ratio: "
    "median of the turns' ratios to torchvision's."
)
_JITTER = (
    "torchvision's color_jitter does more arithmetic than ours (hue by way of HSV, a pass over the picture "
    "for each part, against one matrix); the second table compares without it."
)


@click.command("bench-loader")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder as for train, or any folder with pictures.  [default: demo pictures]",
)
@click.option(
    "--pipeline",
    default="jitter",
    show_default=True,
    help="A shipped recipe's name, or a file; its training part.",
)
@click.option(
    "--loaders", "--loader", default="all", show_default=True, help="With commas: torchvision, cpu, dali."
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads or worker processes, and cores to use.  [default: the usable cores]",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Least length of a turn.",
)
@click.option(
    "--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Turns of each loader."
)
@click.option(
    "--device", default="auto", show_default=True, help="Where batches go: auto, cpu, cuda or cuda:N."
)
@click.option(
    "--amp", default="auto", show_default=True, help="Their precision: auto (as train), bf16, fp16 or off."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--json",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the figures to this file.",
)
def bench_loader(
    data: Path | None, pipeline: str, loaders: str, device: str, amp: str, file: Path | None, **options: Any
) -> None:
    """Measure picture loaders in images/s, against torchvision's DataLoader.

    All show the same pictures by the same recipe, on the same cores, to the normalised batch on the device.
    """
    _check_file(file)
    from fastffdi.bench import loader as bench
    from fastffdi.bench import machine
    from fastffdi.cli.pictures import training_pictures
    from fastffdi.cli.screen import console
    from fastffdi.recipe import recipe

    settings, names = _settings(device, amp, options), bench.available(loaders)
    tables = bench.tables(pipeline, recipe.load(pipeline).resolve(*bench.BACKBONE).train)
    screen, facts = console(), machine.facts()
    manifest, described = training_pictures(data, screen)
    screen.print(f"data: {described}")
    results: list[Result] = []
    with _progress(len(tables) * len(names) * (settings.repeats + 1), screen) as advance:
        for title, steps in tables.items():
            results += bench.measure(title, steps, manifest, names, settings, advance)
    _show(results, settings, machine.sentence(facts, settings.threads))
    if file is not None:
        _write(file, facts, {"data": described, "pipeline": pipeline, **settings.to_data()}, results)


def _check_file(file: Path | None) -> None:
    if file is not None and not file.resolve().parent.is_dir():
        raise SettingError(f"--json {file}: the folder does not exist; make it first")


def _settings(device: str, amp: str, options: dict[str, Any]) -> Settings:
    from fastffdi.bench.loader import Settings
    from fastffdi.model import precision
    from fastffdi.model.device import choose_device, usable_cores

    place = choose_device(device)
    options["threads"] = options["threads"] or usable_cores()
    return Settings(place, precision.choose(amp, place).dtype, **options)


@contextmanager
def _progress(turns: int, on: Console) -> Iterator[Callable[[str], None]]:
    """A bar over all turns; nothing where `on` is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=on, transient=True, disable=not on.is_terminal) as progress:
        task = progress.add_task("measuring", total=turns)
        yield lambda loader: progress.update(task, advance=1)


def _show(results: Sequence[Result], settings: Settings, sentence: str) -> None:
    from rich.console import Console

    screen = Console(highlight=False, soft_wrap=True)
    titles = list(dict.fromkeys(result.pipeline for result in results))
    for title in titles:
        screen.print(_table(title, [result for result in results if result.pipeline == title]))
    screen.print(_METHOD.format_map(settings.to_data()))
    if len(titles) > 1:
        screen.print(_JITTER)
    screen.print(sentence)


def _table(title: str, results: Sequence[Result]) -> Table:
    from rich.table import Table

    from fastffdi.bench.stopwatch import Quartiles

    table = Table(title=title, title_justify="left")
    table.add_column("loader")
    for column in ("images/s", "quartiles", "× torchvision"):
        table.add_column(column, justify="right")
    for result in results:
        if result.problem is not None:
            table.add_row(result.loader, "–", result.problem, "–")
            continue
        speed = Quartiles.of(result.rates)
        ratio = "–" if result.ratio is None else f"{result.ratio:.2f}"
        table.add_row(result.loader, f"{speed.median:.0f}", f"{speed.q25:.0f} … {speed.q75:.0f}", ratio)
    return table


def _write(file: Path, machine: dict[str, Any], settings: dict[str, Any], results: Sequence[Result]) -> None:
    from fastffdi.files import atomic

    record = {"machine": machine, "settings": settings, "results": [result.to_data() for result in results]}
    with atomic(file) as part:
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    click.echo(f"figures: {file}")

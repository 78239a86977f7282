"""fastffdi bench-loader"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.cli.loading import loader_settings
from fastffdi.errors import SettingError

if TYPE_CHECKING:
    from fastffdi.bench.loader import Settings
    from fastffdi.bench.report import Report
    from fastffdi.loaders.settings import Tuned

_FILE = click.Path(path_type=Path, dir_okay=False)


class _Counts(click.ParamType):
    """Whole numbers from 1 on, with commas."""

    name = "integers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        words = [word.strip() for word in str(value).split(",")]
        if not all(word.isdecimal() and int(word) for word in words):
            self.fail(f"'{value}' is not one or more whole numbers from 1 on, with commas.", param, ctx)
        return tuple(sorted({int(word) for word in words}))


@click.command("bench-loader")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder as for train, or any folder with images.  [default: demo images]",
)
@click.option(
    "--pipeline",
    default="jitter",
    show_default=True,
    help="A shipped recipe's name, or a file; its training part.",
)
@click.option(
    "--loaders",
    "--loader",
    default="all",
    show_default=True,
    help="With commas: torchvision, cpu, cached, dali.",
)
@click.option(
    "--threads",
    type=_Counts(),
    help="Threads or worker processes, and cores to use; with commas, each in turn.  "
    "[default: the usable cores]",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Measure the cpu loader also as `cached`: with its images from this folder, filled first.",
)
@loader_settings
@click.option(
    "--to",
    type=click.Choice(["normalised", "uint8"]),
    default="normalised",
    show_default=True,
    help="The batches counted: ready for the model, or as loaders give them.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
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
@click.option("--json", "file", type=_FILE, help="Also write the figures to this file.")
@click.option("--plot", type=_FILE, help="Also draw them, to a file that ends in .png or .html.")
def bench_loader(
    data: Path | None,
    pipeline: str,
    loaders: str,
    threads: tuple[int, ...] | None,
    cache: Path | None,
    loader_settings: Tuned,
    device: str,
    amp: str,
    file: Path | None,
    plot: Path | None,
    **options: Any,
) -> None:
    """Measure image loaders: speed, CPU time, memory and time to the first batch.

    Against torchvision's DataLoader, and against what reading, decoding and copying alone allow. All show the
    same images by the same recipe, on the same cores. At the end: what limits, and what to change.
    """
    _check_files(file, plot)
    from fastffdi.bench import loader as bench
    from fastffdi.bench import machine
    from fastffdi.bench.report import Subject, report
    from fastffdi.cli.dataset import training_images
    from fastffdi.cli.screen import console
    from fastffdi.cli.turns import turns
    from fastffdi.recipe import recipe

    found = recipe.load(pipeline).resolve(*bench.BACKBONE)
    more = {**options, "scaled": found.decode.scaled, "cache": cache}
    settings = _settings(device, amp, threads, loader_settings, more)
    names, screen, facts = bench.available(loaders, cache), console(), machine.facts()
    manifest, described = training_images(data, screen)
    screen.print(f"data: {described}")
    subject = Subject(pipeline, found.train, manifest, names, settings)
    with turns(subject.turns, screen) as bar:
        taken = report(subject, bar.done)
    _show(taken, machine.sentence(facts, settings[-1].threads))
    if file is not None:
        _write(file, described, facts, taken)
    if plot is not None:
        _draw(plot, described, machine.sentence(facts, settings[-1].threads), taken)
    click.echo(taken.verdict)


def _check_files(file: Path | None, plot: Path | None) -> None:
    if file is not None and not file.resolve().parent.is_dir():
        raise SettingError(f"--json {file}: the folder does not exist; make it first")
    if plot is not None:
        from fastffdi.bench.plot import check

        check(plot)


def _settings(
    device: str, amp: str, threads: tuple[int, ...] | None, tuned: Tuned, options: dict[str, Any]
) -> list[Settings]:
    """One for each number of threads."""
    from fastffdi.bench.loader import Settings
    from fastffdi.model import precision
    from fastffdi.model.device import choose_device, usable_cores

    place = choose_device(device)
    first, *more = threads or (usable_cores(),)
    how = tuned.settings(first)
    options |= {"prefetch": how.prefetch, "hw_decoder_load": how.hw_decoder_load}
    settings = Settings(place, precision.choose(amp, place).dtype, first, **options)
    return [settings, *(replace(settings, threads=count) for count in more)]


def _show(taken: Report, machine: str) -> None:
    from rich.console import Console

    from fastffdi.cli.bench_tables import sentences, tables

    screen = Console(highlight=False, soft_wrap=True)
    for table in tables(taken):
        screen.print(table)
    for sentence in (*sentences(taken), machine):
        screen.print(sentence)


def _write(file: Path, described: str, machine: dict[str, Any], taken: Report) -> None:
    from fastffdi.files import atomic

    figures = taken.to_data()
    settings = {"data": described, **figures.pop("settings")}
    with atomic(file) as part:
        record = {"machine": machine, "settings": settings, **figures}
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    click.echo(f"figures: {file}")


def _draw(file: Path, described: str, machine: str, taken: Report) -> None:
    from fastffdi.bench.plot import plot
    from fastffdi.cli.bench_tables import panels, sentences

    title = f"{described}: images/s to the {taken.subject.settings[0].to} batch"
    plot(file, title, panels(taken), [taken.verdict, next(sentences(taken)), machine])
    click.echo(f"chart: {file}")

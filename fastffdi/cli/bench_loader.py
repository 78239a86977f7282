"""fastffdi bench-loader"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.cli.loading import loader_settings, merged
from fastffdi.errors import SettingError

if TYPE_CHECKING:
    from fastffdi.bench.loader import Settings
    from fastffdi.bench.report import Report
    from fastffdi.data.manifest import Manifest
    from fastffdi.loaders.settings import LoaderSettings
    from fastffdi.recipe.steps.base import Step

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
    "[default: the usable cores, at most 16]",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Images per batch.  [default: 64]")
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
@click.option(
    "--tune",
    type=_FILE,
    help="Instead, find threads and prefetch depth for the first of --loaders that can be tuned (default: "
    "what auto chooses), and write them to this file for --loader-settings.",
)
def bench_loader(
    data: Path | None,
    pipeline: str,
    loaders: str,
    threads: tuple[int, ...] | None,
    cache: Path | None,
    loader_settings: Path | None,
    batch_size: int | None,
    device: str,
    amp: str,
    file: Path | None,
    plot: Path | None,
    tune: Path | None,
    **options: Any,
) -> None:
    """Measure image loaders: speed, CPU time, memory and time to the first batch.

    Against torchvision's DataLoader, and against what reading, decoding and copying alone allow. All show the
    same images by the same recipe, on the same cores. At the end: what limits, and what to change.
    """
    _check_files(file, plot, tune)
    from fastffdi.bench import loader as bench
    from fastffdi.bench import machine
    from fastffdi.bench.report import Subject, report
    from fastffdi.cli.dataset import training_images
    from fastffdi.cli.rounds import turns
    from fastffdi.cli.screen import console
    from fastffdi.loaders import factory
    from fastffdi.model.backbone import load_recipe

    found = load_recipe(pipeline)
    loading = [merged(loader_settings, count, batch_size) for count in threads or (None,)]
    more = {**options, "scaled": found.decode.scaled, "cache": cache}
    settings = [_settings(device, amp, one, more) for one in loading]
    names, screen, facts = bench.available(loaders, cache), console(), machine.facts()
    manifest, described = training_images(data, screen)
    screen.print(f"data: {described}")
    if tune is not None:
        loader = next((name for name in names if loaders != "all" and name in ("cpu", "dali")), None)
        loader = loader or factory.choose_loader("auto", settings[0].device)
        _tune(tune, loader, pipeline, found.train, manifest, settings[-1])
        return
    subject = Subject(pipeline, found.train, manifest, names, settings)
    with turns(subject.turns, screen) as bar:
        taken = report(subject, bar.done)
    _show(taken, machine.sentence(facts, settings[-1].threads))
    if file is not None:
        _write(file, described, facts, taken)
    if plot is not None:
        _draw(plot, described, machine.sentence(facts, settings[-1].threads), taken)
    click.echo(taken.verdict)


def _check_files(file: Path | None, plot: Path | None, tune: Path | None) -> None:
    for option, path in (("--json", file), ("--tune", tune)):
        if path is not None and not path.resolve().parent.is_dir():
            raise SettingError(f"{option} {path}: the folder does not exist; make it first")
    if plot is not None:
        from fastffdi.bench.plot import check

        check(plot)


def _settings(device: str, amp: str, loading: LoaderSettings, options: dict[str, Any]) -> Settings:
    from fastffdi.bench.loader import Settings
    from fastffdi.model import precision
    from fastffdi.model.device import choose_device

    place = choose_device(device)
    return Settings(place, precision.choose(amp, place).dtype, loading, **options)


def _tune(
    file: Path, loader: str, pipeline: str, steps: tuple[Step, ...], manifest: Manifest, settings: Settings
) -> None:
    """Find the loader's settings and write them to a file."""
    from fastffdi.bench import machine, tune
    from fastffdi.cli.rounds import turns
    from fastffdi.cli.screen import console
    from fastffdi.loaders.settings import write_settings

    sentence = machine.sentence(machine.facts(), settings.threads)
    with turns(tune.turns(loader, settings), console()) as bar:
        found = tune.tune(loader, steps, manifest, settings, bar.done)
    gain = f"{found.loading.described()}: {found.gain:.2f} times as fast as the defaults."
    about = f"Loader {loader} on {settings.device}, recipe {pipeline}, {len(manifest)} images."
    write_settings(file, found.to_data(), [about, gain, sentence])
    click.echo(gain)
    click.echo(f"settings: {file}; next: fastffdi train --loader-settings {file} …")


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

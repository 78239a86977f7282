"""fastffdi bench-loader"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.cli.loading import loader_settings
from fastffdi.errors import SettingError

if TYPE_CHECKING:
    from fastffdi.bench.loader import Settings
    from fastffdi.bench.report import Subject

_FOLDER = click.Path(path_type=Path)
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
    "--data", type=_FOLDER, help="Folder as for train, or any folder with images.  [default: demo images]"
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
@click.option("--batch-size", type=click.IntRange(min=1), help="Images per batch.  [default: 64]")
@click.option(
    "--cache",
    type=_FOLDER,
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
    help="Instead, find the fastest settings of the first loader named (else of train's default), with at "
    "most --threads, and write them to this YAML file for --loader-settings.",
)
def bench_loader(
    data: Path | None,
    pipeline: str,
    loaders: str,
    cache: Path | None,
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
    from fastffdi.bench import machine
    from fastffdi.bench.loader import available
    from fastffdi.bench.report import Subject
    from fastffdi.cli.dataset import training_images
    from fastffdi.cli.screen import console
    from fastffdi.model.backbone import load_recipe

    recipe = load_recipe(pipeline)
    settings = _settings(options, scaled=recipe.decode.scaled, cache=cache)
    names, screen, facts = available(loaders, cache), console(), machine.facts()
    manifest, described = training_images(data, screen)
    screen.print(f"data: {described}")
    if tune is None:
        subject = Subject(pipeline, recipe.train, manifest, names, settings)
        _measure(subject, described, facts, file, plot)
    else:
        from fastffdi.loaders.factory import choose_loader

        first = loaders.partition(",")[0].strip()
        loader = choose_loader("auto", settings[-1].device) if loaders == "all" else first
        _tune(tune, loader, Subject(pipeline, recipe.train, manifest, [loader], settings), described, facts)


def _check_files(file: Path | None, plot: Path | None, tune: Path | None) -> None:
    from fastffdi.cli.bench_tables import check_folder

    check_folder("--json", file)
    check_folder("--tune", tune)
    if tune is not None and (file or plot):
        raise SettingError(f"--tune {tune}: writes settings only; leave out --json and --plot")
    if plot is not None:
        from fastffdi.bench.plot import check

        check(plot)


def _settings(options: dict[str, Any], scaled: bool, cache: Path | None) -> list[Settings]:
    """One for each number of threads."""
    from fastffdi.bench.loader import Settings
    from fastffdi.loaders.settings import LoaderSettings, read_settings, usable_cores
    from fastffdi.model import precision
    from fastffdi.model.device import choose_device

    device, dtype = choose_device(options["device"]), options["amp"]
    file = options["loader_settings"]
    default = ({} if file is None else read_settings(file)).get("threads", usable_cores())
    first, *more = options["threads"] or (default,)
    settings = Settings(
        device,
        precision.choose(dtype, device).dtype,
        LoaderSettings.merged(file, threads=first, batch_size=options["batch_size"]),
        **{name: options[name] for name in ("seconds", "repeats", "seed", "to")},
        scaled=scaled,
        cache=cache,
    )
    return [settings, *(replace(settings, loading=replace(settings.loading, threads=n)) for n in more)]


def _measure(
    subject: Subject, described: str, facts: dict[str, Any], file: Path | None, plot: Path | None
) -> None:
    from fastffdi.bench import machine
    from fastffdi.bench.report import report
    from fastffdi.cli.bench_tables import panels, sentences, show, tables, write_record
    from fastffdi.cli.rounds import rounds
    from fastffdi.cli.screen import console

    with rounds(subject.turns, console()) as progress:
        found = report(subject, progress)
    sentence = machine.sentence(facts, subject.settings[-1].threads)
    show(*tables(found), *sentences(found), sentence)
    if file is not None:
        data = found.to_data()
        settings = {"data": described, **data.pop("settings")}
        write_record(file, {"machine": facts, "settings": settings, **data})
    if plot is not None:
        from fastffdi.bench.plot import plot as draw

        title = f"{described}: images/s to the {subject.settings[0].to} batch"
        draw(plot, title, panels(found), [found.verdict, next(sentences(found)), sentence])
        click.echo(f"chart: {plot}")
    click.echo(found.verdict)


def _tune(file: Path, loader: str, subject: Subject, described: str, facts: dict[str, Any]) -> None:
    from fastffdi.bench import machine
    from fastffdi.bench.loader import EPOCH, planner_over
    from fastffdi.bench.stream import endless
    from fastffdi.bench.tune import NOISE, alternatives, tune
    from fastffdi.cli.bench_tables import show, speed, table
    from fastffdi.cli.rounds import rounds
    from fastffdi.cli.screen import console
    from fastffdi.loaders.settings import write_settings

    settings = subject.settings[-1]
    values = alternatives(loader, settings.device, settings.threads)
    planner = endless(planner_over(subject.manifest, subject.steps, settings), EPOCH)
    turns = (sum(map(len, values.values())) + 2) * (settings.repeats + 1)
    with rounds(turns, console()) as progress:
        found = tune(loader, planner, settings, values, progress)
    for compared in found.comparisons:
        rows = [
            [str(value), *speed(rates), "taken" if value == found.found[compared.setting] else ""]
            for value, rates in compared.rates.items()
        ]
        show(table("", [compared.setting.replace("_", " "), "images/s", "quartiles", ""], rows))
    sentence = machine.sentence(facts, settings.threads)
    same = all(getattr(settings.loading, name) == value for name, value in found.found.items())
    gain = "the same as" if same else f"{found.gain:.2f} times as fast as"
    gain += f" the defaults ({settings.loading.described()})"
    given_up = any(compared.taken != found.found[compared.setting] for compared in found.comparisons)
    show(
        f"Medians and quartiles of {settings.repeats} turns, values taking turns; the smallest value within "
        f"{NOISE:.0%} of the fastest is taken. For prefetch, the consumer takes as long as the loader.",
        *(["Taken together, the fastest values were slower than the defaults, which stay."] * given_up),
        sentence,
    )
    origin = f"{loader} on {settings.device}; {described}; recipe {subject.pipeline}."
    write_settings(file, found.found, ["Written by fastffdi bench-loader --tune.", origin, gain, sentence])
    click.echo(f"settings: {file}; {gain}")

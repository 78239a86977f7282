"""fastffdi bench-train"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.cli.loading import loader_settings, merged, threads
from fastffdi.errors import SettingError

if TYPE_CHECKING:
    from rich.table import Table

    from fastffdi.bench.train_step import Result, Rounds
    from fastffdi.training.experiment import Experiment
    from fastffdi.training.settings import Settings

_FILE = click.Path(path_type=Path)
_METHOD = (
    "Random weights, on which speed does not depend. real data: as train does it; synthetic: the same steps "
    "on one batch kept on the device. Median and quartiles of {repeats} turns of about {seconds:g} s, kinds "
    "taking turns, ratios by round; batches that lay ready when a turn began are not counted, nor is the first turn. "
    "copy: to the device, with what is left of the recipe, and mixing; backward: with the loss; optimiser: "
    "with schedule and log."
)
_TUTORIAL = (
    "tutorial: DataLoader with Pillow and torchvision, float32, contiguous, Adam, .item() at every step, no "
    "mixing."
)
_EVENTS = (
    "Phases by CUDA events; a GPU counts as busy where it does not wait for images, gaps between its "
    "kernels included."
)


@click.command("bench-train")
@click.option(
    "--data", type=_FILE, help="Folder as for train, or any folder with images.  [default: demo images]"
)
@click.option("--pipeline", default="standard", show_default=True, help="A shipped recipe's name, or a file.")
@click.option("--backbone", default="efficientnet_b0", show_default=True, help="Any timm model.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Images per update.  [default: 64]")
@click.option("--loader", default="auto", show_default=True, help="auto, dali, cpu or torchvision.")
@threads
@loader_settings
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--amp", default="auto", show_default=True, help="auto, bf16, fp16 or off.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Length of a turn, about.",
)
@click.option(
    "--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Turns of each kind."
)
@click.option("--baseline", is_flag=True, help="Measure the tutorial's loop as well.  [default: off]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "file", type=_FILE, help="Also write the figures to this file.")
def bench_train(
    data: Path | None, seconds: float, repeats: int, baseline: bool, file: Path | None, **options: Any
) -> None:
    """Measure training in images/s: real images against one batch kept on the device.

    The table says where the time of a step goes, and the last line what limits.
    """
    if file is not None and not file.resolve().parent.is_dir():
        raise SettingError(f"--json {file}: the folder does not exist; make it first")
    from fastffdi.bench import machine, train_step
    from fastffdi.cli.dataset import training_images
    from fastffdi.cli.rounds import turns
    from fastffdi.cli.screen import console

    how = train_step.Rounds(seconds, repeats, baseline)
    screen, facts = console(), machine.facts()
    remarks: list[str] = []
    manifest, described = training_images(data, screen)
    ready = train_step.prepare(_settings(options), manifest, remarks.append)
    screen.print("\n".join([f"data: {described}", *remarks]))
    try:
        with turns((repeats + 1) * (2 + baseline), screen) as bar:
            results = train_step.measure(ready, how, bar.done)
    finally:
        ready.close()
    _show(results, ready, how, machine.sentence(facts, facts["cores"]))
    if file is not None:
        _write(file, facts, {"data": described, **train_step.described(ready, how)}, results)
    click.echo(train_step.verdict(*results[:2]))


def _settings(options: dict[str, Any]) -> Settings:
    from fastffdi.training.settings import Settings

    # An ordinary run of one epoch, of which nothing is kept.
    return Settings(
        backbone=options["backbone"],
        pipeline=options["pipeline"],
        epochs=1,
        learning_rate=1e-3,
        output=Path(),
        loading=merged(options["loader_settings"], options["threads"], options["batch_size"]),
        loader=options["loader"],
        device=options["device"],
        amp=options["amp"],
        pretrained=False,
        overwrite=True,
        seed=options["seed"],
    )


def _show(results: Sequence[Result], ready: Experiment, how: Rounds, sentence: str) -> None:
    from rich.console import Console

    screen = Console(highlight=False, soft_wrap=True)
    settings = ready.settings
    title = f"{settings.backbone} · {Path(settings.pipeline).name} · batches of {settings.loading.batch_size}"
    screen.print(_speeds(title, results))
    screen.print(_phases(results))
    screen.print(_METHOD.format(repeats=how.repeats, seconds=how.seconds))
    for line, applies in ((_TUTORIAL, how.baseline), (_EVENTS, results[0].cuda)):
        if applies:
            screen.print(line)
    screen.print(sentence)


def _speeds(title: str, results: Sequence[Result]) -> Table:
    from rich.table import Table

    from fastffdi.bench.stopwatch import Quartiles

    table = Table(title=title, title_justify="left")
    table.add_column("training")
    others = results[1:]
    for column in ("images/s", "quartiles", *(f"× {other.name}" for other in others)):
        table.add_column(column, justify="right")
    for result in results:
        speed = Quartiles.of(result.rates)
        ratios = [f"{result.ratio(other):.2f}" for other in others]
        table.add_row(result.name, f"{speed.median:.1f}", f"{speed.q25:.1f} … {speed.q75:.1f}", *ratios)
    return table


def _phases(results: Sequence[Result]) -> Table:
    from rich.table import Table

    from fastffdi.bench.phases import PHASES

    table = Table(title="a step, in ms, and shares of it", title_justify="left")
    table.add_column("phase")
    for result in results:
        table.add_column(result.name, justify="right")
    for phase in PHASES:
        cells = (f"{1000 * r.phase_seconds(phase):.1f} ({r.share(phase):3.0%})" for r in results)
        table.add_row(phase, *cells)
    if results[0].cuda:
        table.add_row("GPU busy", *(f"{r.busy:.0%}" for r in results))
    return table


def _write(file: Path, machine: dict[str, Any], settings: dict[str, Any], results: Sequence[Result]) -> None:
    from fastffdi.files import atomic

    real, others = results[0], results[1:]
    ratios = {other.name: round(real.ratio(other), 3) for other in others}
    record = {
        "machine": machine,
        "settings": settings,
        "results": [result.to_data() for result in results],
        "ratio_of_real_data_to": ratios,
    }
    with atomic(file) as part:
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    click.echo(f"figures: {file}")

"""fastffdi bench-train"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.cli.loading import compiled, follow_symlinks, loader_settings, memory_cap, threads

if TYPE_CHECKING:
    from rich.table import Table

    from fastffdi.bench.train_step import Result
    from fastffdi.training.settings import Settings

_METHOD = (
    "Random weights, which do not change the speed. real data: as train does it; synthetic: the same steps "
    "on one batch kept on the device. Median and quartiles of {repeats} turns of about {seconds:g} s, kinds "
    "taking turns, ratios by round; batches that were ready when a turn began are not counted, nor is the "
    "first turn. copy: to the device, with what remains of the recipe, and mixing; backward: with the loss; "
    "optimiser: with schedule and log. {launches}"
)
_LAUNCHES = {
    False: "launches: of a step; operators that compute, views and allocations left out, and fused kernels.",
    True: "launches: of a step; calls of the driver for kernels, copies, fills and CUDA graphs, one each.",
}
_COMPILED = (
    "real data, synthetic: compiled, their loss in forward; eager: synthetic without --compile, which its "
    "ratio compares."
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
    "--data",
    type=click.Path(path_type=Path),
    help="Folder as for train, or any folder with images.  [default: demo images]",
)
@follow_symlinks
@click.option("--pipeline", default="standard", show_default=True, help="A shipped recipe's name, or a file.")
@click.option("--backbone", default="efficientnet_b0", show_default=True, help="Any timm model.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Images per update.  [default: 64]")
@click.option("--loader", default="auto", show_default=True, help="auto, dali, cpu or torchvision.")
@threads
@loader_settings
@memory_cap
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--amp", default="auto", show_default=True, help="auto, bf16, fp16 or off.")
@compiled
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
@click.option(
    "--json",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the figures to this file.",
)
def bench_train(
    data: Path | None,
    follow_symlinks: bool,
    seconds: float,
    repeats: int,
    baseline: bool,
    file: Path | None,
    **options: Any,
) -> None:
    """Measure training in images/s: real images against one batch kept on the device.

    The table says where the time of a step goes, and the last line what limits.
    """
    from fastffdi.bench import machine, train_step
    from fastffdi.cli.bench_tables import show
    from fastffdi.cli.dataset import training_images
    from fastffdi.cli.record import check_folder, write_record
    from fastffdi.cli.rounds import rounds
    from fastffdi.cli.screen import console

    check_folder("--json", file)
    how = train_step.Rounds(seconds, repeats, baseline)
    settings, screen, facts = _settings(options), console(), machine.facts()
    remarks: list[str] = []
    manifest, described = training_images(data, screen, follow_symlinks)
    ready = train_step.prepare(settings, manifest, remarks.append)
    if options["loader_settings"] is not None:
        remarks.append(f"loader settings: {settings.loading.described()}")
    screen.print("\n".join([f"data: {described}", *remarks]))
    try:
        with rounds((repeats + 1) * (2 + settings.compile + baseline), screen) as progress:
            results = train_step.measure(ready, how, progress)
    finally:
        ready.close()
    size = settings.loading.batch_size
    title = f"{settings.backbone} · {Path(settings.pipeline).name} · batches of {size}"
    notes = [
        *([_COMPILED] if settings.compile else []),
        *([_TUTORIAL] if baseline else []),
        *([_EVENTS] if results[0].cuda else []),
    ]
    method = _METHOD.format(repeats=repeats, seconds=seconds, launches=_LAUNCHES[results[0].cuda])
    show(*_tables(title, results), method, *notes, machine.sentence(facts, facts["cores"]))
    if file is not None:
        record = {
            "machine": facts,
            "settings": {"data": described, **train_step.described(ready, how)},
            "results": [result.to_data() for result in results],
            "ratio_of_real_data_to": {r.name: round(results[0].ratio(r), 3) for r in results[1:]},
        }
        write_record(file, record)
    click.echo(train_step.verdict(*results[:2]))


def _settings(options: dict[str, Any]) -> Settings:
    """Of an ordinary run of one epoch, of which nothing is written."""
    from fastffdi.cli.loading import merged
    from fastffdi.training.settings import Settings

    return Settings(
        **{name: options[name] for name in ("backbone", "pipeline", "device", "amp", "compile", "seed")},
        backend=options["loader"],
        loading=merged(
            options["loader_settings"],
            options["threads"],
            options["batch_size"],
            memory_cap=options["memory_cap"],
        ),
        epochs=1,
        learning_rate=1e-3,
        output=Path(),
        overwrite=True,
        pretrained=False,
    )


def _tables(title: str, results: Sequence[Result]) -> Iterator[Table]:
    from fastffdi.bench.phases import PHASES
    from fastffdi.bench.stopwatch import Quartiles
    from fastffdi.cli.bench_tables import speed, table

    others = results[1:]
    rows = [
        [
            r.name,
            *speed(Quartiles.of(r.rates), 1),
            f"{r.launches:,}",
            *(f"{r.ratio(other):.2f}" for other in others),
        ]
        for r in results
    ]
    yield table(
        title,
        ["training", "images/s", "quartiles", "launches", *(f"× {other.name}" for other in others)],
        rows,
    )
    rows = [
        [phase, *(f"{1000 * r.phase_seconds(phase):.1f} ({r.share(phase):3.0%})" for r in results)]
        for phase in PHASES
    ]
    if results[0].cuda:
        rows.append(["GPU busy", *(f"{r.busy:.0%}" for r in results)])
    yield table("a step, in ms, and shares of it", ["phase", *(r.name for r in results)], rows)

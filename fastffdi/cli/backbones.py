"""fastffdi backbones"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from fastffdi.bench.backbone_speed import How, Speed
    from fastffdi.model.catalogue import Backbone

_HEADINGS = ("backbone", "", "parameters", "size")
_SPEED = ("images/s", "quartiles")
_SAW = "its weights saw"
_NOTE = (
    "* what the name without its tag means. parameters: in millions, with two logits. What weights saw is "
    "told by their name, as far as it tells; --imagenet1k-only allows imagenet-1k."
)


@click.command()
@click.argument("pattern", required=False)
@click.option(
    "--imagenet1k-only",
    is_flag=True,
    help="Leave out weights that saw, or may have seen, more than ImageNet-1k.  [default: off]",
)
@click.option(
    "--speed",
    type=click.Choice(["training", "inference"]),
    help="Measure images/s on this machine, which takes seconds for each.  [default: not measured]",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Images per batch of --speed.  [default: 64]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N, for --speed.")
@click.option("--amp", default="auto", show_default=True, help="auto, bf16, fp16 or off, for --speed.")
@click.option(
    "--json",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the list to this file.",
)
def backbones(pattern: str | None, imagenet1k_only: bool, file: Path | None, **options: Any) -> None:
    """List timm's models for --backbone, and which images their pretrained weights saw.

    PATTERN is a name, 'efficientnet_b*', or a part of names; '*' lists all, which takes ten minutes or more
    the first time. Without it those that are usual for this task are listed.
    """
    from fastffdi.cli.record import check_folder, write_record
    from fastffdi.cli.rounds import rounds
    from fastffdi.cli.screen import console
    from fastffdi.model import catalogue

    check_folder("--json", file)
    screen, how = console(), _how(options)
    facts = None if how is None else _facts()
    found = catalogue.find(pattern, imagenet1k_only)
    with rounds(len(found), screen) as progress:
        found = catalogue.counted(found, progress)
    speeds = None if how is None else _measured(found, how, screen)
    _show(found, speeds)
    screen.print(_NOTE)
    if how is not None and facts is not None:
        screen.print(f"{how.sentence()}\n{_measured_on(facts)}")
    if file is not None:
        settings = {} if how is None else {"machine": facts, "settings": how.to_data()}
        write_record(file, {"timm": version("timm"), **settings, "backbones": _data(found, speeds)})


def _how(options: dict[str, Any]) -> How | None:
    """What is to be measured, if anything."""
    if options["speed"] is None:
        return None
    from fastffdi.bench.backbone_speed import How
    from fastffdi.loaders.settings import LoaderSettings
    from fastffdi.model import precision
    from fastffdi.model.device import choose_device, tune_convolutions

    device = choose_device(options["device"])
    tune_convolutions(device)
    size = options["batch_size"] or LoaderSettings().batch_size
    return How(options["speed"], size, device, precision.choose(options["amp"], device))


def _measured(found: Sequence[Backbone], how: How, screen: Console) -> list[Speed]:
    """One after the other; weights of one model that differ in nothing else share a measurement."""
    from fastffdi.bench.backbone_speed import measure
    from fastffdi.cli.rounds import rounds

    known: dict[object, Speed] = {}
    keys = [(one.name.partition(".")[0], one.size) for one in found]
    with rounds(len(set(keys)), screen) as progress:
        for one, key in zip(found, keys, strict=True):
            if key not in known:
                known[key] = measure(one.name, one.size, how)
                progress(key[0])
    return [known[key] for key in keys]


def _facts() -> dict[str, Any]:
    from fastffdi.bench import machine

    return machine.facts()


def _measured_on(facts: dict[str, Any]) -> str:
    from fastffdi.bench import machine

    return machine.sentence(facts, facts["cores"])


def _show(found: Sequence[Backbone], speeds: Sequence[Speed] | None) -> None:
    from fastffdi.cli.columns import show

    headings = (*_HEADINGS, *(() if speeds is None else _SPEED), _SAW)
    rows = [_row(one, None if speeds is None else speeds[k]) for k, one in enumerate(found)]
    show(headings, rows, left=(0, len(headings) - 1))


def _row(one: Backbone, speed: Speed | None) -> tuple[str, ...]:
    count = "–" if one.parameters is None else f"{one.parameters / 1e6:.1f}"
    height, width = one.size
    cells = one.name, "*" * one.default, count, f"{height}x{width}"
    return (*cells, *(() if speed is None else _speed(speed)), one.weights_data)


def _speed(found: Speed) -> tuple[str, str]:
    if found.problem:
        return "–", found.problem
    from fastffdi.bench.stopwatch import Quartiles
    from fastffdi.cli.bench_tables import speed

    return speed(Quartiles.of(found.rates), 1)


def _data(found: Sequence[Backbone], speeds: Sequence[Speed] | None) -> list[dict[str, Any]]:
    listed = [one.to_data() for one in found]
    if speeds is None:
        return listed
    return [one | {"speed": speed.to_data()} for one, speed in zip(listed, speeds, strict=True)]

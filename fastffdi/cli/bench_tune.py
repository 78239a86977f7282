"""What bench-loader --tune shows and writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from fastffdi.bench import machine
from fastffdi.bench.loader import EPOCH, Settings, planner_over
from fastffdi.bench.method import explained
from fastffdi.bench.minute import Minute
from fastffdi.bench.quick import drawn_from, sampled, with_smaller_batches
from fastffdi.bench.quick_tune import within
from fastffdi.bench.report import Subject
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.bench.stream import endless
from fastffdi.bench.tune import PIXELS, Comparison, Tuned, alternatives, count, in_turns, tune
from fastffdi.cli.bench_tables import show, speed, table
from fastffdi.cli.rounds import countdown, rounds
from fastffdi.cli.screen import console
from fastffdi.loaders.settings import write_settings


def find(
    file: Path,
    loader: str,
    subject: Subject,
    described: str,
    facts: dict[str, Any],
    explain: bool,
    minute: Minute | None,
) -> None:
    """Find a loader's settings within the minute, or thoroughly without one; print and write them.

    Raises UndecodableImage, RecipeError where the loader refuses the recipe.
    """
    subject = subject if minute is None else _smaller(subject, minute)
    settings = subject.settings[-1]
    found = _found(loader, subject, minute)
    show(*(_table(compared, found) for compared in found.comparisons))
    sentence = machine.sentence(facts, settings.threads)
    remarks = list(_remarks(found))
    method = explained("thorough" if minute is None else "quick", tuning=True)
    show(*((*method, sentence) if explain else ()), *remarks)
    origin = f"{loader} on {settings.device}; {described}; recipe {subject.pipeline}."
    gain = _gain(found, settings)
    head = ["Written by fastffdi bench-loader --tune.", origin, gain, *remarks, sentence]
    write_settings(file, found.found, head)
    click.echo(f"settings: {file}; {gain}")


def _smaller(subject: Subject, minute: Minute) -> Subject:
    """With as many images, and as large batches, as fit in the minute."""
    settings = subject.settings[-1]
    manifest = drawn_from(subject.manifest, settings.seed)
    if not minute.fixed_batch:
        settings = with_smaller_batches(settings, sampled(manifest, settings))
    return replace(subject, manifest=manifest, settings=[settings])


def _found(loader: str, subject: Subject, minute: Minute | None) -> Tuned:
    settings = subject.settings[-1]
    values = alternatives(loader, settings.device, settings.threads)
    loaders = count(values)
    if minute is None:
        planner = endless(planner_over(subject.manifest, subject.steps, settings), EPOCH)
        with rounds(loaders * (settings.repeats + 1), console()) as progress:
            return tune(settings.loading, values, in_turns(loader, planner, settings, progress))
    with countdown(minute.budget, console()) as progress:
        measure = within(minute, loaders, loader, subject, progress)
        return tune(settings.loading, values, measure)


def _table(compared: Comparison, found: Tuned) -> Table:
    taken = found.found[compared.setting]
    rows = [
        [str(value), *_speed(rates), str(len(rates)), "taken" if value == taken else ""]
        for value, rates in compared.rates.items()
    ]
    heading = compared.setting.replace("_", " ")
    return table("", [heading, "images/s", "quartiles", "turns", ""], rows)


def _speed(rates: tuple[float, ...]) -> tuple[str, str]:
    return speed(Quartiles.of(rates)) if rates else ("–", "not tried in time")


def _remarks(found: Tuned) -> Iterator[str]:
    for compared in found.comparisons:
        if compared.untried:
            values = ", ".join(map(str, compared.untried))
            name = compared.setting.replace("_", " ")
            yield f"Left out, since 60 s were not enough: {name} {values}; --thorough tries all."
    if any(compared.taken != found.found[compared.setting] for compared in found.comparisons):
        yield "Taken together, the fastest values were slower than the defaults, which stay."
    for compared in found.comparisons:
        if compared.setting in PIXELS:
            yield (
                f"{compared.setting} changes pixels and stays as it is, whichever is faster; "
                "if you change it by hand, do so for training and prediction alike."
            )


def _gain(found: Tuned, settings: Settings) -> str:
    same = all(getattr(settings.loading, name) == value for name, value in found.found.items())
    gain = "the same as" if same else f"{found.gain:.2f} times as fast as"
    return f"{gain} the defaults ({settings.loading.described()})"

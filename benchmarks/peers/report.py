"""What the comparison says: for the screen, as Markdown, as plain data."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rows import RECIPES, Row

from fastffdi.bench import machine
from fastffdi.bench.stopwatch import Quartiles

_METHOD = """\
{images} JPEG files, again and again, in shuffled batches of {batch_size}; {threads} threads or worker
processes each, on as many cores. Every loader is a process of its own. Those of a recipe take turns of at
least {seconds:g} s, {rounds} each; while one works the others wait with full queues. Batches that lay ready
when a turn began are not counted, nor is the first turn of each. images/s: median (quartiles) of the turns.
ours: how many times as fast fastffdi's loaders are, the median of the rounds."""

_NOTES = """\
* Each library is used as its own documentation or example does; its script names the source. It resizes by
  its own default filter.
* FFCV packs first, untimed, and encodes anew: JPEGs of quality 90 with colours at half the resolution,
  whatever the files had. `fastffdi cpu, FFCV's JPEGs` reads files encoded in the same way. FFCV has no
  decoder that resizes the whole image.
* DALI's home is the GPU."""


NONE = "–"

#: A row as it is shown: loader, images/s, how many times as fast ours are, how.
Line = tuple[str, str, str, str]


@dataclass(frozen=True)
class Result:
    """A row's figures: `rates` img/s of each turn, empty where `problem` says why there are none."""

    row: Row
    rates: tuple[float, ...] = ()
    problem: str | None = None

    @property
    def speed(self) -> str:
        """img/s, median and quartiles."""
        if not self.rates:
            return NONE
        found = Quartiles.of(self.rates)
        return f"{found.median:.0f} ({found.q25:.0f}–{found.q75:.0f})"

    @property
    def how(self) -> str:
        """What it does, or why it does nothing."""
        return self.problem or self.row.how


@dataclass(frozen=True)
class Report:
    """The results, with the facts of the machine and what was the same for all."""

    facts: dict[str, Any]
    settings: dict[str, Any]
    results: Sequence[Result]

    def ratios(self, result: Result) -> dict[str, float]:
        """Rows that the result's is compared with → how many times as fast they are."""
        return {
            ours.row.name: statistics.median(map(operator.truediv, ours.rates, result.rates))
            for ours in self.results
            if ours.row.recipe == result.row.recipe and ours.row.name in result.row.against
            if ours.rates and result.rates
        }

    def screen(self) -> Group:
        """A table for each recipe, and the machine, for rich."""
        return Group(*(self._table(recipe, lines) for recipe, lines in self._lines()), self._said())

    def _table(self, recipe: str, lines: Sequence[Line]) -> Table:
        table = Table("loader", title=f"{recipe}: {RECIPES[recipe]}", title_justify="left")
        for column in ("images/s", "ours"):
            table.add_column(column, justify="right")
        for name, speed, ours, how in lines:
            table.add_row(name, speed, how if speed == NONE else ours)
        return table

    def markdown(self) -> str:
        """The table with method, notes and machine."""
        rows = [(recipe, *line) for recipe, lines in self._lines() for line in lines]
        lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
        recipes = [f"* `{recipe}`: {RECIPES[recipe]}" for recipe, _ in self._lines()]
        parts = (
            "# fastffdi beside other loaders",
            _METHOD.format_map(self.settings),
            "\n".join(recipes),
            "\n".join(["| recipe | loader | images/s | ours | how |", "|---|---|---|---|---|", *lines]),
            _NOTES,
            self._said(),
        )
        return "<!-- Written by `make bench-peers`. -->\n" + "\n\n".join(parts) + "\n"

    def to_data(self) -> dict[str, Any]:
        """Everything, every turn."""
        return {
            "machine": self.facts,
            "settings": self.settings,
            "results": [self._data(result) for result in self.results],
        }

    def _lines(self) -> list[tuple[str, list[Line]]]:
        recipes = dict.fromkeys(result.row.recipe for result in self.results)
        return [
            (recipe, [self._line(result) for result in self.results if result.row.recipe == recipe])
            for recipe in recipes
        ]

    def _line(self, result: Result) -> Line:
        ratios = [
            f"{ratio:.2f}× {name.removeprefix('fastffdi ')}" for name, ratio in self.ratios(result).items()
        ]
        return result.row.name, result.speed, "; ".join(ratios) or NONE, result.how

    def _said(self) -> str:
        peers = ", ".join(f"{name} {version}" for name, version in sorted(self.facts["peers"].items()))
        said = machine.sentence(self.facts, self.settings["threads"])
        return f"{said} {peers}." if peers else said

    def _data(self, result: Result) -> dict[str, Any]:
        rates = result.rates
        data = {
            "recipe": result.row.recipe,
            "loader": result.row.name,
            "images_per_second": Quartiles.of(rates).to_data() if rates else None,
            "images_per_second_each": [round(rate, 1) for rate in rates],
            "times_as_fast": {name: round(ratio, 3) for name, ratio in self.ratios(result).items()},
        }
        return data if result.problem is None else {**data, "problem": result.problem}

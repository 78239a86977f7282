"""The results of the comparison: for the screen, as Markdown, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rows import RECIPES, Row

from fastffdi.bench import machine
from fastffdi.bench.stopwatch import Quartiles, median_ratio, speed_data
from fastffdi.cli.bench_tables import table

_TEXT = """\
<!-- Written by `make bench-peers`. -->
# fastffdi beside other loaders

{images} JPEG files, again and again, in shuffled batches of {batch_size}; {threads} threads or worker
processes each, on as many cores. Every loader is a process of its own. Those of a recipe take turns of at
least {seconds:g} s, {rounds} each; while one works the others wait with full queues. Batches that were ready
when a turn began are not counted, nor is the first turn of each. images/s: median (quartiles) of the turns.
ours: how many times as fast fastffdi's loaders are, the median of the rounds.

{recipes}

| recipe | loader | images/s | ours | how |
|---|---|---|---|---|
{rows}

* Each library is used as its own documentation or example does; its script names the source. It resizes by
  its own default filter.
* FFCV packs first, untimed, and encodes anew: JPEGs of quality 90 with colours at half the resolution,
  whatever the files had. `fastffdi cpu, FFCV's JPEGs` reads files encoded in the same way. FFCV has no
  decoder that resizes the whole image.
* DALI is made for the GPU.

{machine}
"""


@dataclass(frozen=True)
class Result:
    """A row's images/s of each turn; empty where there is a `problem`."""

    row: Row
    rates: tuple[float, ...] = ()
    problem: str | None = None

    @property
    def speed(self) -> str:
        """Images/s, median and quartiles."""
        if not self.rates:
            return "–"
        found = Quartiles.of(self.rates)
        return f"{found.median:.0f} ({found.q25:.0f}–{found.q75:.0f})"

    @property
    def how(self) -> str:
        """How it differs, or why it has no figures."""
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
            ours.row.name: median_ratio(ours.rates, result.rates)
            for ours in self.results
            if ours.row.recipe == result.row.recipe and ours.row.name in result.row.against
            if ours.rates and result.rates
        }

    def screen(self) -> Iterator[Table | str]:
        """A table for each recipe, and the machine, for rich."""
        for recipe, what in self._recipes().items():
            found = [result for result in self.results if result.row.recipe == recipe]
            rows = ([r.row.name, r.speed, self._ours(r) if r.rates else r.how] for r in found)
            yield table(f"{recipe}: {what}", ["loader", "images/s", "ours"], rows)
        yield self._machine()

    def markdown(self) -> str:
        """The table with method, notes and machine."""
        cells = [(r.row.recipe, r.row.name, r.speed, self._ours(r), r.how) for r in self.results]
        rows = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in cells]
        recipes = [f"* `{recipe}`: {what}" for recipe, what in self._recipes().items()]
        parts = {"recipes": "\n".join(recipes), "rows": "\n".join(rows), "machine": self._machine()}
        return _TEXT.format_map({**self.settings, **parts})

    def to_data(self) -> dict[str, Any]:
        """Everything, every turn."""
        results = [self._data(result) for result in self.results]
        return {"machine": self.facts, "settings": self.settings, "results": results}

    def _recipes(self) -> dict[str, str]:
        measured = {result.row.recipe for result in self.results}
        return {recipe: what for recipe, what in RECIPES.items() if recipe in measured}

    def _ours(self, result: Result) -> str:
        ratios = self.ratios(result).items()
        return "; ".join(f"{ratio:.2f}× {name.removeprefix('fastffdi ')}" for name, ratio in ratios) or "–"

    def _machine(self) -> str:
        peers = ", ".join(f"{name} {version}" for name, version in sorted(self.facts["peers"].items()))
        sentence = machine.sentence(self.facts, self.settings["threads"])
        return f"{sentence} {peers}." if peers else sentence

    def _data(self, result: Result) -> dict[str, Any]:
        data = {
            "recipe": result.row.recipe,
            "loader": result.row.name,
            **speed_data(result.rates),
            "times_as_fast": {name: round(ratio, 3) for name, ratio in self.ratios(result).items()},
        }
        return data if result.problem is None else {**data, "problem": result.problem}

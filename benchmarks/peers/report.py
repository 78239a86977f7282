"""What the comparison says: as Markdown, and as plain data."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rows import RECIPES, Row

from fastffdi.bench import machine
from fastffdi.bench.stopwatch import Quartiles

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

NONE = "–"


@dataclass(frozen=True)
class Result:
    """A row's figures: `rates` img/s of each turn, empty where `problem` says why there are none."""

    row: Row
    rates: tuple[float, ...] = ()
    problem: str | None = None


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

    def markdown(self) -> str:
        """The table with method, notes and machine."""
        recipes = dict.fromkeys(result.row.recipe for result in self.results)
        rows = [" | ".join(cell.replace("|", "/") for cell in self._cells(one)) for one in self.results]
        return _TEXT.format(
            **self.settings,
            recipes="\n".join(f"* `{recipe}`: {RECIPES[recipe]}" for recipe in recipes),
            rows="\n".join(f"| {row} |" for row in rows),
            machine=self._machine(),
        )

    def to_data(self) -> dict[str, Any]:
        """Everything, every turn."""
        results = [self._data(result) for result in self.results]
        return {"machine": self.facts, "settings": self.settings, "results": results}

    def _cells(self, result: Result) -> tuple[str, ...]:
        speed = NONE
        if result.rates:
            found = Quartiles.of(result.rates)
            speed = f"{found.median:.0f} ({found.q25:.0f}–{found.q75:.0f})"
        ratios = self.ratios(result).items()
        ours = [f"{ratio:.2f}× {name.removeprefix('fastffdi ')}" for name, ratio in ratios]
        how = result.problem or result.row.how
        return result.row.recipe, result.row.name, speed, "; ".join(ours) or NONE, how

    def _machine(self) -> str:
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

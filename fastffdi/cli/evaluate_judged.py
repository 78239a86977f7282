"""All that evaluate finds out about one model's scores of one set, told and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from fastffdi.cli.deciding import fitted, store, told
from fastffdi.cli.evaluate_sets import Part
from fastffdi.cli.evaluate_tables import compared, grouped, headed
from fastffdi.cli.evaluate_tables import told as figures_told
from fastffdi.errors import DataError
from fastffdi.evaluation.decision import Decision
from fastffdi.evaluation.figures import Comparison, Figure, Group, compare, figures, groups
from fastffdi.evaluation.scored import Scored


@dataclass
class Judged:
    """A part and what is known of it.

    Attributes:
        threshold: the one that was given, or else the model's own, of scores as it gives them
        less_than_first: the first model's lead on the same set
        degraded: what --stress and --bias found, as plain data
    """

    part: Part
    figures: dict[str, Figure]
    groups: list[Group]
    threshold: float | None = None
    decision: Decision | None = None
    less_than_first: Comparison | None = None
    degraded: dict[str, Any] = field(default_factory=dict)

    @property
    def reals(self) -> int:
        """How many images are real."""
        return int((self.part.scored.labels == 0).sum())

    @property
    def fakes(self) -> int:
        """How many images are fake."""
        return int((self.part.scored.labels == 1).sum())

    def to_data(self) -> dict[str, Any]:
        """It as plain data, for --json."""
        data = {
            "scores_of": self.part.scores_of,
            "set": self.part.set,
            "manner": self.part.manner,
            "images": len(self.part.scored),
            "reals": self.reals,
            "fakes": self.fakes,
            "left_out": self.part.scored.left_out,
            "threshold": self.threshold,
            "figures": {key: asdict(figure) for key, figure in self.figures.items()},
            "groups": [asdict(group) for group in self.groups],
        }
        if self.decision is not None:
            data["decision"] = self.decision.to_data()
        if self.less_than_first is not None:
            data["less_than_first"] = asdict(self.less_than_first)
        return data | self.degraded


def judge(part: Part, options: dict[str, Any], decides: bool = False) -> Judged:
    """The figures of a part, of its groups too with --by, told; also at the stored threshold, if any.

    Where a decision is to be fitted, the stored one is not looked at.
    """
    scored, by, threshold = part.scored, options["by"], options["threshold"]
    stored = part.stored if threshold is None and not decides else None
    threshold = threshold if stored is None else stored.cut()
    how = (threshold, options["resamples"], options["seed"])
    found = figures(scored.labels, scored.scores, *how)
    by_group = [] if by is None else groups(scored, by, *how)
    heading = [*headed(part.title, scored), *_remarks(scored)]
    if stored is not None and threshold is not None:
        heading.append(f"  the threshold is the stored one, by {stored.rule}: fake from {threshold:.4f} on")
    click.echo("\n".join([*heading, *figures_told(found), *grouped(by, by_group)]))
    return Judged(part, found, by_group, threshold)


def _remarks(scored: Scored) -> Iterator[str]:
    """A line for what makes figures say nothing."""
    if len(set(scored.labels.tolist())) == 1:
        which, other = ("real", "fake") if scored.labels[0] == 0 else ("fake", "real")
        yield f"  all images are {which}: what compares classes needs {other} ones too, and has no value"
    elif (scored.scores == scored.scores[0]).all():
        yield f"  all scores are {scored.scores[0]:g}: they tell no image from another"


def decide(one: Judged, options: dict[str, Any]) -> None:
    """Fit a decision to the scores, tell it, and store it where that is asked for."""
    scored = one.part.scored
    one.decision = replace(fitted(scored, options), manner=one.part.manner)
    click.echo("\n".join(["", *(f"  {line}" for line in told(scored, one.decision, options))]))
    if options["store"]:
        click.echo(f"  {store(Path(one.part.model), one.decision)}")


def compare_models(record: list[Judged], options: dict[str, Any]) -> None:
    """Hold each further model against the first, on the same images, and tell how they differ."""
    firsts = {one.part.set: one for one in reversed(record)}
    for one in record:
        first = firsts[one.part.set]
        if one is not first:
            common = _common(first.part.scored, one.part.scored)
            one.less_than_first = compare(*common, options["resamples"], options["seed"])
            click.echo("\n".join(compared(first.part.model, one.part.title, one.less_than_first)))


def _common(first: Scored, other: Scored) -> tuple[Any, Any, Any]:
    """Labels and both scores of the images; the same ones could be decoded for both."""
    if first.names.tolist() != other.names.tolist():
        raise DataError(
            "evaluate: the checkpoints could not decode the same images; take out those that fail"
        )
    return first.labels, first.scores, other.scores

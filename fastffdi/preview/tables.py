"""The tables of a preview: what the model is given, epoch by epoch or step by step, and mixed pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from fastffdi.data.manifest import LABELS
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.preview.draw import Image, Mixer, draw, first, mix
from fastffdi.preview.sheet import LARGEST, Cell, Row, Section, shortened
from fastffdi.recipe.steps.colour import NormalizeStep
from fastffdi.render.cpu.decode import decode_path


@dataclass(frozen=True)
class Preview:
    """The first `count` images that a planner comes to in an epoch.

    Its tables raise UndecodableImage, and DataError for an image too small for a step.
    """

    planner: BatchPlanner
    epoch: int
    count: int

    def by_epoch(self, draws: int) -> Section:
        """Each image as its file has it, and as the model is given it in `draws` epochs from `epoch` on."""
        epochs = range(self.epoch, self.epoch + draws)
        return self._table(
            "What the model is given",
            {f"epoch {epoch + 1}": draw(self._shown, epoch) for epoch in epochs},
        )

    def by_step(self) -> Section:
        """Each image as its file has it, and after each of the steps."""
        steps, drawn = self.planner.steps, {}
        for k, step in enumerate(steps):
            if not isinstance(step, NormalizeStep):
                part = replace(self._shown, steps=steps[: k + 1])
                drawn[f"{k + 1} · {step.name()}"] = draw(part, self.epoch)
        return self._table(f"Step by step in epoch {self.epoch + 1}", drawn)

    def mixed(self, mixer: Mixer) -> Section:
        """The images before mixing, their partners, and what `mixer` makes of them, with soft labels."""
        # One more than is shown: the last is mixed with the next.
        batch = first(self.planner, self.epoch, self.count + 1)
        before = [
            (Cell(view, label), name)
            for views, label, name in zip(
                draw(batch, self.epoch), _classes(batch), _names(batch), strict=True
            )
            for view in views
        ]
        pairs = mix(batch, self.epoch, mixer)[: self.count]
        own, names = zip(*before[: len(pairs)], strict=True)
        others = [before[pair.partner][0] for pair in pairs]
        labels = [
            _soft_label(pair.share, a.caption, b.caption)
            for pair, a, b in zip(pairs, own, others, strict=True)
        ]
        results = [Cell(pair.image, label) for pair, label in zip(pairs, labels, strict=True)]
        rows = [Row("image", "", own), Row("mixed with", "", others), Row("gives", "", results)]
        columns = [shortened(name, LARGEST // 2) for name in names]
        return Section(f"The first pairs mixed in epoch {self.epoch + 1}", columns, rows)

    @cached_property
    def _shown(self) -> BatchPlanner:
        return first(self.planner, self.epoch, self.count)

    def _table(self, heading: str, columns: dict[str, list[list[Image]]]) -> Section:
        """The files' images and then the columns, one for each view where there are several."""
        rows, _ = self._shown.sampler.epoch(self.epoch)
        cells = [[Cell(decode_path(path))] for path in self.planner.manifest.paths(rows)]
        titles = ["file"]
        for title, drawn in columns.items():
            titles += _with_views(title, len(drawn[0]))
            for row, views in zip(cells, drawn, strict=True):
                row += map(Cell, views)
        parts = zip(_names(self._shown), _classes(self._shown), cells, strict=True)
        return Section(heading, titles, [Row(*part) for part in parts])


def _names(planner: BatchPlanner) -> list[str]:
    return [str(name) for name in planner.manifest.names[planner.sampler.epoch(0)[0]]]


def _classes(planner: BatchPlanner) -> list[str]:
    rows, _ = planner.sampler.epoch(0)
    labels = planner.manifest.labels
    return [""] * len(rows) if labels is None else [LABELS[label] for label in labels[rows]]


def _with_views(title: str, views: int) -> Sequence[str]:
    return [title] if views == 1 else [f"{title}, view {view + 1}" for view in range(views)]


def _soft_label(share: float, own: str, other: str) -> str:
    if own == other and own:
        return own
    return f"{share:.2f} {own} + {1 - share:.2f} {other}".replace("  ", " ").rstrip()

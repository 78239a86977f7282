"""The tables of a preview: what the model is given, epoch by epoch or step by step, and mixed pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fastffdi.data.manifest import LABELS, Manifest
from fastffdi.data.source import FILES, Source
from fastffdi.preview.draw import Image, Images, Mixer, draw, mixed
from fastffdi.preview.sheet import LARGEST, Cell, Row, Section, shortened
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps.base import Step
from fastffdi.recipe.steps.colour import NormalizeStep


@dataclass(frozen=True)
class Preview:
    """The first `count` images that training comes to in an epoch, by some resolved steps.

    Its tables raise UndecodableImage, and DataError for an image too small for a step.
    """

    manifest: Manifest
    steps: tuple[Step, ...]
    seed: int
    epoch: int
    count: int
    source: Source = FILES

    def by_epoch(self, draws: int) -> Section:
        """Each image as its file has it, and as the model is given it in `draws` epochs from `epoch` on."""
        images = self._known.head(self.count)
        epochs = range(self.epoch, self.epoch + draws)
        drawn = {f"epoch {epoch + 1}": draw(images, self.steps, self._rng, epoch) for epoch in epochs}
        return _table("What the model is given", images, drawn)

    def by_step(self) -> Section:
        """Each image as its file has it, and after each of the steps."""
        images, made = self._known.head(self.count), {}
        for k, step in enumerate(self.steps):
            if not isinstance(step, NormalizeStep):
                made[f"{k + 1} · {step.name()}"] = draw(images, self.steps[: k + 1], self._rng, self.epoch)
        return _table(f"Step by step in epoch {self.epoch + 1}", images, made)

    def mixed(self, mixer: Mixer) -> Section:
        """The images before mixing, their partners, and what `mixer` makes of them, with soft labels."""
        known = self._known
        drawn = draw(known, self.steps, self._rng, self.epoch)
        before = [
            (Cell(view, _class(label)), name)
            for views, label, name in zip(drawn, known.labels, known.names, strict=True)
            for view in views
        ]
        pairs = mixed(known, self.steps, self._rng, self.epoch, mixer)[: self.count]
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

    @property
    def _rng(self) -> CounterRNG:
        return CounterRNG(self.seed)

    @cached_property
    def _known(self) -> Images:
        # One more than is shown: the last is mixed with the next.
        return Images.first(self.manifest, self.seed, self.epoch, self.count + 1, self.source)


def _table(heading: str, images: Images, columns: dict[str, list[list[Image]]]) -> Section:
    """The files' images and then the columns, one for each view where there are several."""
    titles, cells = ["file"], [[Cell(image)] for image in images.images]
    for title, made in columns.items():
        titles += _with_views(title, len(made[0]))
        for row, images in zip(cells, made, strict=True):
            row += map(Cell, images)
    rows = [
        Row(name, _class(label), row)
        for name, label, row in zip(images.names, images.labels, cells, strict=True)
    ]
    return Section(heading, titles, rows)


def _with_views(title: str, views: int) -> Sequence[str]:
    return [title] if views == 1 else [f"{title}, view {view + 1}" for view in range(views)]


def _class(label: int) -> str:
    return LABELS[label] if label >= 0 else ""


def _soft_label(share: float, own: str, other: str) -> str:
    if own == other and own:
        return own
    return f"{share:.2f} {own} + {1 - share:.2f} {other}".replace("  ", " ").rstrip()

"""Sheets of images in a run's folder: the first batch, the worst mistakes, and batches that broke a loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from fastffdi.data.manifest import LABELS, Manifest
from fastffdi.data.sampler import FixedRows
from fastffdi.evaluation.scored import Scored
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.loader import Prepared
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.preview.draw import denormalised, draw
from fastffdi.preview.mistakes import small, worst, wrong
from fastffdi.preview.sheet import Cell, Row, Section, sheet, shortened
from fastffdi.recipe.kernels import Normalize
from fastffdi.training.watch import Seen

#: Images on a sheet, in a row of it, and the pixels of their longest side.
MOST, ACROSS, SIDE = 24, 6, 192


def first_batch(batch: Batch, prepared: Prepared, normalize: Normalize, images: Manifest) -> Image.Image:
    """The first images of a batch as the model was given them, with the masses of their labels."""
    own, labels = np.flatnonzero(batch.valid.repeat(batch.views)), prepared.labels
    shown = own[:MOST]
    at = torch.from_numpy(shown).to(labels.device)
    pixels = denormalised(prepared.images[at].float().cpu(), normalize)
    fake = (labels[at].float() if labels.dim() == 1 else labels[at, 1]).tolist()
    names = images.names[batch.rows[shown // batch.views]]
    cells = [
        Cell(small(image, SIDE), _masses(share), _name(name))
        for image, share, name in zip(pixels, fake, names, strict=True)
    ]
    height, width = prepared.images.shape[2:]
    remark = f"{len(shown)} of {len(own)} images, {height} x {width} pixels, normalised back"
    return sheet("The first training batch", remark, [_grid("As the model is given it", cells)])


def mistakes(scored: Scored, images: Manifest, epoch: int) -> Image.Image | None:
    """The images furthest on the wrong side of 0.5, of each class as many; None where there is no mistake.

    `epoch` is counted from 0. Files that can no longer be read are left out.
    """
    sections = []
    for label, other in ((1, 0), (0, 1)):
        found = worst(scored, images, label, MOST // 2, SIDE)
        cells = [Cell(one.image, _name(one.name), f"y_pred {one.score:.3f}") for one in found]
        if cells:
            count = wrong(scored, label).sum()
            heading = f"{LABELS[label]} images taken for {LABELS[other]}: the worst {len(cells)} of {count}"
            sections.append(_grid(heading, cells))
    what = f"epoch {epoch + 1}, {len(scored.names)} validation images; y_pred is P(fake)"
    return sheet("The worst mistakes", what, sections) if sections else None


def again(planner: BatchPlanner, seen: Seen) -> Image.Image:
    """The first images of a batch drawn once more, before they are mixed. Raises as `draw`."""
    rows, repeats = seen.rows[:MOST], seen.repeats[:MOST]
    part = replace(planner, sampler=FixedRows(rows, repeats), batch_size=len(rows), drop_last=False)
    labels = planner.manifest.labels
    assert labels is not None, "training has labels"
    cells = [
        Cell(small(view, SIDE), LABELS[labels[row]], _name(planner.manifest.names[row]))
        for row, views in zip(rows, draw(part, seen.epoch), strict=True)
        for view in views
    ]
    remark = f"the first {len(rows)} images of it, before mixing; nonfinite.csv names all"
    heading = f"Epoch {seen.epoch + 1}, batch {seen.number + 1}"
    return sheet("The batch whose loss was no number", remark, [_grid(heading, cells)])


def _grid(heading: str, cells: Sequence[Cell]) -> Section:
    rows = [Row("", "", cells[k : k + ACROSS]) for k in range(0, len(cells), ACROSS)]
    return Section(heading, [""] * min(ACROSS, len(cells)), rows)


def _masses(fake: float) -> str:
    if fake in (0, 1):
        return LABELS[int(fake)]
    return f"{1 - fake:.2f} real + {fake:.2f} fake"


def _name(name: object) -> str:
    return shortened(str(name), SIDE)

"""What a run leaves for people: pictures and a summary when it ends, and what broke it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from fastffdi.data.manifest import Manifest
from fastffdi.errors import RunError
from fastffdi.files import DiskFull, atomic
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.loader import Prepared
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.model.device import named
from fastffdi.recipe.lowering import template
from fastffdi.training import curves, holdout, scores, sheets, summary
from fastffdi.training.folder import BATCH, BROKEN, BROKEN_SHEET, CURVES, MISTAKES, writing
from fastffdi.training.history import History
from fastffdi.training.saving import Saver
from fastffdi.training.watch import NonFinite, Seen

if TYPE_CHECKING:
    from fastffdi.training.experiment import Experiment


def shown_first(experiment: Experiment, saver: Saver) -> Callable[[Batch, Prepared], None]:
    """Draws the batch that it is given, and lets it be written."""

    def show(batch: Batch, prepared: Prepared) -> None:
        program = template(experiment.recipe.train)
        assert program.normalize is not None, "recipes end with it"
        sheet = sheets.first_batch(batch, prepared, program.normalize, experiment.dataset.train)
        saver.save(partial(save_sheet, sheet, experiment.settings.output / BATCH))

    return show


def finish(experiment: Experiment) -> None:
    """Leave pictures and the summary of a run that ends. Raises DiskFull, or a RunError naming the folder.

    Of several processes the first one does.
    """
    if not experiment.processes.world.first:
        return
    settings, device = experiment.settings, experiment.trainer.device
    facts = {
        "backbone": settings.backbone,
        "pipeline": Path(settings.pipeline).name,
        "data": experiment.dataset.description,
        "settings": experiment.identity,
        "corrupt": len(experiment.corrupt),
        "device": named(device),
        "threads": settings.loading.threads,
        "command": experiment.command,
    }
    held_out = experiment.dataset.held_out
    with writing(settings.output):
        if held_out and experiment.best is not None:
            experiment.held_out = holdout.judge(settings, held_out)
            facts["holdout"] = experiment.held_out.to_data()
        draw_and_sum_up(settings.output, experiment.history, experiment.dataset.val, facts)


def draw_and_sum_up(folder: Path, history: History, validation: Manifest, facts: dict[str, Any]) -> None:
    """Draw the curves and the worst mistakes, and last write the summary with further `facts`.

    Of a run without an epoch there is nothing to say. Raises DiskFull where the disk is, and OSError.
    """
    best = history.best
    if best is None:
        return
    if curves.can_be_drawn():
        curves.save(folder / CURVES, f"{facts['backbone']} · {facts['pipeline']}", history.results, best)
    scored = scores.read(folder)
    sheet = None if scored is None else sheets.mistakes(scored, validation, best.epoch)
    if sheet is not None:
        save_sheet(sheet, folder / MISTAKES)
    summary.save(folder, summary.summary(history, scored) | facts)


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write it as PNG. Raises as `atomic`."""
    with atomic(path) as part:
        sheet.save(part, format="PNG")


@contextmanager
def recording(folder: Path, planner: BatchPlanner) -> Iterator[None]:
    """Turn NonFinite into what `recorded` makes of it."""
    try:
        yield
    except NonFinite as error:
        raise recorded(error, folder, planner) from None


def recorded(error: NonFinite, folder: Path, planner: BatchPlanner) -> RunError:
    """The error of a run, with the files that name and show the images of the batch; where there is room."""
    if not folder.is_dir():  # of one of several processes, on another machine
        return error
    try:
        files = _record(error.suspects, folder, planner)
    except DiskFull:
        return RunError(f"{error}; the disk is too full to list the images")
    return RunError(f"{error}; the images are in {' and '.join(files)}")


def _record(suspects: Sequence[Seen], folder: Path, planner: BatchPlanner) -> list[str]:
    with atomic(folder / BROKEN) as part:
        part.write_bytes(_listed(suspects, planner.manifest))
    last, files = suspects[-1], [str(folder / BROKEN)]
    try:
        save_sheet(sheets.again(planner, last), folder / BROKEN_SHEET)
    except RunError:  # an image has gone meanwhile, or the disk is full now
        return files
    return [*files, str(folder / BROKEN_SHEET)]


def _listed(suspects: Sequence[Seen], images: Manifest) -> bytes:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(("epoch", "batch", "row", "img_name", "target"))
    assert images.labels is not None, "training has labels"
    for seen in suspects:
        for row in seen.rows.tolist():
            table.writerow((seen.epoch + 1, seen.number + 1, row, images.names[row], images.labels[row]))
    return text.getvalue().encode("utf-8", "surrogateescape")

"""fastffdi predict"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastffdi.cli.images import images_named
from fastffdi.cli.interrupts import last_words
from fastffdi.cli.keeping import done, keeping
from fastffdi.cli.keeping import resume as resume_option
from fastffdi.cli.labelled import labelled
from fastffdi.cli.loading import follow_symlinks, loading, max_megapixels, merged, on_corrupt
from fastffdi.cli.output import check_no_image, check_output
from fastffdi.cli.stability import columns, passes, stability, told
from fastffdi.cli.viewing import check_decides, leading, numbers, viewing
from fastffdi.world import World

if TYPE_CHECKING:
    import numpy as np

    from fastffdi.model.processes import Processes

_FILE = click.Path(path_type=Path)

#: The name of the table of images that were skipped, in place of --output's suffix; and the exit code then.
ERRORS, SKIPPED = ".errors.csv", 3


@click.command()
@click.argument("checkpoint", type=_FILE, metavar="CHECKPOINT...")
@click.argument("inputs", nargs=-1, metavar="[FOLDER|FILE|PATTERN|-...]")
@labelled("Label file with a column img_name; a column target is optional.")
@click.option(
    "-o",
    "--output",
    type=_FILE,
    default="submit.csv",
    show_default=True,
    help="File to write: .csv, .jsonl (JSON lines) or .parquet.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace --output whatever it holds, but never an input.  [default: off, only a table of predict]",
)
@resume_option
@follow_symlinks
@viewing
@loading
@on_corrupt
@max_megapixels
@click.option(
    "--excel-safe",
    is_flag=True,
    help="Put an apostrophe before names that a spreadsheet would run as a formula.  [default: off]",
)
@click.option(
    "--fill", default="", help="y_pred of an image that was skipped.  [default: an empty cell, or null]"
)
@click.option(
    "--decide",
    is_flag=True,
    help="Add a column decision (real, fake, inconclusive), as stored by `evaluate --store`.  [default: off]",
)
@stability
@click.option(
    "--compile",
    is_flag=True,
    help="Compile the model with torch.compile, which takes minutes at the first batch; on CUDA as CUDA "
    "graphs, which is unproven on a GPU.  [default: off]",
)
def predict(
    checkpoint: Path,
    inputs: tuple[str, ...],
    data: Path | None,
    labels: Path | None,
    images: Path | None,
    output: Path,
    overwrite: bool,
    resume: bool,
    follow_symlinks: bool,
    views: str | None,
    pool: str,
    scales: str,
    batch_size: int | None,
    loader: str,
    threads: int | None,
    process: bool | None,
    cache: Path | None,
    loader_settings: Path | None,
    memory_cap: float | None,
    device: str,
    amp: str,
    on_corrupt: str,
    max_megapixels: float | None,
    excel_safe: bool,
    fill: str,
    decide: bool,
    stability: bool,
    compile: bool,
) -> None:
    """Write img_name and y_pred for images, y_pred = P(fake): one row per image, in the order given.

    CHECKPOINT is a .safetensors file that train wrote; the preprocessing is the one it was trained with. The
    scores of several, each with its own preprocessing, are pooled.
    Images are a FOLDER (names relative to it), FILEs, FOLDERs and quoted PATTERNs such as 'DIR/**/*.jpg'
    (names as given), - for a list of them on standard input (one a line, or ended by NUL as find -print0
    does), --data or --labels. What is scored is kept every few seconds, and --resume goes on from that. Those
    that cannot be decoded are listed beside --output, in NAME.errors.csv, and the exit code is 3.
    """
    from fastffdi.cli.screen import bar, console

    checkpoints, inputs = leading(checkpoint, inputs)
    files = [
        *(("the checkpoint", one) for one in checkpoints),
        ("the label file", labels),
        ("the settings file", loader_settings),
    ]
    world = World.here()
    if world.first:
        inputs_too = (("one of the images", Path(name)) for name in inputs)
        check_output(output, [*files, *inputs_too], overwrite, fill, excel_safe)
    screen, others = console(), None if world.alone else _joined()
    manifest = images_named(inputs, data, labels, images, screen.print, follow_symlinks, others)
    if world.first:
        check_no_image(output, manifest.paths())
    from fastffdi.inference.parts import Parts
    from fastffdi.inference.predict import Predictor
    from fastffdi.inference.table import write_errors, write_table
    from fastffdi.model.processes import Processes

    settings = merged(loader_settings, threads, batch_size, process, memory_cap, max_megapixels)
    processes = others or Processes()
    predictor = Predictor(
        checkpoints,
        device=device,
        amp=amp,
        backend=loader,
        loading=settings,
        cache=cache,
        compile=compile,
        on_corrupt=on_corrupt,
        processes=processes,
        views=views,
        pool=pool,
        scales=numbers(scales),
    )
    if decide:
        check_decides(predictor, checkpoints)
    parts = Parts(output, predictor.key(manifest), processes)
    parts.open(resume, screen.print)
    total = len(manifest) * (passes() if stability else 1)
    further: dict[str, np.ndarray] = {}
    with (
        keeping(parts, output, screen.print),
        last_words(),
        bar(world.part_of(total), "predicting", screen, done(parts, world)) as progress,
    ):
        scores = predictor(manifest, progress.advance, parts)
        if stability:
            further = columns(predictor, manifest, scores, decide, progress.advance)
    processes.leave()
    if not world.first:
        return
    if decide and predictor.decision is not None:
        further = {"decision": predictor.decision(scores)} | further
    write_table(output, manifest.names, scores, fill, excel_safe, further)
    write_errors(output.with_suffix(ERRORS), predictor.reasons, excel_safe)
    parts.remove()
    click.echo(f"{len(manifest)} rows in {output}")
    if stability:
        click.echo(told(further["flips"], predictor.decision))
    if manifest.labels is not None:
        _say_auc(manifest.labels, scores)
    if predictor.reasons:
        count, table = len(predictor.reasons), output.with_suffix(ERRORS)
        click.echo(f"images that cannot be decoded: {count}, listed in {table}", err=True)
        raise click.exceptions.Exit(SKIPPED)


def _joined() -> Processes:
    from fastffdi.model.processes import Processes

    return Processes.join()


def _say_auc(labels: np.ndarray, scores: np.ndarray) -> None:
    import numpy as np

    from fastffdi.evaluation.metrics import auc
    from fastffdi.training.log import shown

    known = np.isfinite(scores)
    found = auc(labels[known], scores[known]) if known.any() else None
    click.echo(f"AUC against the labels given: {shown(found)}")

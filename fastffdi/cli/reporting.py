"""The option --report of evaluate, and what its file is made of."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.errors import DataError, RunError, SettingError
from fastffdi.files import DiskFull, atomic

if TYPE_CHECKING:
    from fastffdi.cli.evaluate_judged import Judged
    from fastffdi.data.manifest import Manifest
    from fastffdi.evaluation.scored import Scored
    from fastffdi.report.assessed import Assessed
    from fastffdi.report.provenance import Provenance, Source

#: Options that are told elsewhere in a report, or do not change what it says.
_TOLD = ("data", "labels", "scores", "images", "report", "json_file", "overwrite", "store")


def reporting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --report."""
    option = click.option(
        "--report",
        type=click.Path(path_type=Path),
        help="Write everything to this HTML file as well, with charts, the worst mistakes, and how to repeat "
        "it; with --scores, --images FOLDER lets it show the mistakes.",
    )
    return option(command)


def check_report(file: Path | None, inputs: Iterable[Path], json_file: Path | None, overwrite: bool) -> None:
    """Raise SettingError where the report could not be written, or something would be lost by it."""
    if file is None:
        return
    if file.is_dir():
        raise SettingError(f"--report {file}: is a folder; name the HTML file to write")
    if not file.resolve().parent.is_dir():
        raise SettingError(f"--report {file}: there is no folder {file.parent}; make it first")
    if json_file is not None and json_file.resolve() == file.resolve():
        raise SettingError(f"--report {file}: is the file of --json; name another file")
    if file.exists() and any(path.exists() and file.samefile(path) for path in inputs):
        raise SettingError(f"--report {file}: is a file that is read; name another file to write")
    if file.exists() and not overwrite:
        raise SettingError(f"--report {file}: exists; name another file, or add --overwrite")


def images_of_scores(scored: Scored, folder: Path | None) -> Manifest | None:
    """The images of a table of scores: those whose names lead to files inside `folder`; None without one."""
    if folder is None:
        return None
    import numpy as np

    from fastffdi.data.links import Links
    from fastffdi.data.manifest import Manifest

    root, links = str(folder.resolve()), Links(folder)
    inside = np.array([not links.leaves(folder / name) for name in scored.names], bool)
    if not inside.any():
        raise DataError(f"--images {folder}: none of the names in --scores is inside it; name another folder")
    return Manifest(root, scored.names[inside], scored.labels[inside])


def write_report(
    file: Path, record: Sequence[Judged], checkpoints: Sequence[Path], options: Mapping[str, Any]
) -> None:
    """Write the report, whole or not at all, and say so. Raises DiskFull, and RunError where it cannot be."""
    from fastffdi.cli.loading import merged
    from fastffdi.report.page import page

    models = [_assessed(one) for one in record]
    images = {one.part.set: one.part.manifest for one in record if one.part.manifest is not None}
    threads = merged(options["loader_settings"], options["threads"]).threads
    made_of = _provenance(checkpoints, options)
    how = (options["by"], options["resamples"], options["seed"], threads)
    text = page(models, images, made_of, *how)
    try:
        with atomic(file, len(text)) as part:
            part.write_text(text, encoding="utf-8")
    except DiskFull:
        raise
    except OSError as error:
        raise RunError(f"--report {file}: cannot be written ({error.strerror}); name another file") from None
    click.echo(f"report: {file}")


def _assessed(one: Judged) -> Assessed:
    from fastffdi.report.assessed import Assessed

    part = one.part
    return Assessed(
        part.scores_of, part.set, part.scored, one.figures, one.groups, one.threshold, one.to_data()
    )


def _provenance(checkpoints: Sequence[Path], options: Mapping[str, Any]) -> Provenance:
    from fastffdi.model import checkpoint
    from fastffdi.report.provenance import Provenance

    settings = {f"--{name.replace('_', '-')}": value for name, value in options.items() if name not in _TOLD}
    return Provenance(
        command=shlex.join(["fastffdi", *sys.argv[1:]]),
        made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        sources=list(_sources(checkpoints, options)),
        settings={
            name: value
            for name, value in settings.items()
            if value is not None and value is not False and value != ()
        },
        versions=checkpoint.versions(),
        models={str(path): checkpoint.read(path) for path in checkpoints},
    )


def _sources(checkpoints: Sequence[Path], options: Mapping[str, Any]) -> Iterable[Source]:
    """The files that were read, the images apart."""
    from fastffdi.data.layout import label_files_of
    from fastffdi.report.provenance import source

    named = [("checkpoint", path) for path in checkpoints]
    found = (file for folder in options["data"] for file in label_files_of(folder))
    named += [("label file", file) for file in found if file.name.startswith("val")]
    named += [("label file", file) for file in options["labels"]]
    named += [("scores", Path(file)) for file in options["scores"]]
    named += [("loader settings", options["loader_settings"])] if options["loader_settings"] else []
    return (source(what, path) for what, path in named)

"""fastffdi check"""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from fastffdi.cli.dataset import data_folder
from fastffdi.cli.loading import follow_symlinks, threads
from fastffdi.errors import SettingError

if TYPE_CHECKING:
    from rich.console import Console

    from fastffdi.audit.audit import Audit
    from fastffdi.audit.fix import FixFiles
    from fastffdi.data.layout import Dataset

_FILE = click.Path(path_type=Path)


@click.command()
@click.option("--data", type=_FILE, help="Folder as for train.  [default: demo images]")
@click.option(
    "--json", "json_file", type=_FILE, help="Write everything that was found out to this file, too."
)
@click.option(
    "--fix",
    type=_FILE,
    help="Write training labels without what was found to this file, those of validation to FILE.val and "
    "the rest to FILE.quarantine.",
)
@click.option(
    "--quick", is_flag=True, help="Read headers and ends only; copies are not looked for.  [default: off]"
)
@follow_symlinks
@threads
@click.option("--overwrite", is_flag=True, help="Write over files that exist.  [default: off]")
def check(
    data: Path | None,
    json_file: Path | None,
    fix: Path | None,
    quick: bool,
    follow_symlinks: bool,
    threads: int | None,
    overwrite: bool,
) -> None:
    """Look for what is wrong with a data set before it is trained on.

    Files that are missing, broken or not what they seem; copies and near-duplicates, within and across
    training and validation; contradicting labels; classes out of balance; and shortcuts, facts about the
    files that alone tell real from fake. No image is ever changed. Files that have not changed are not read
    again.

    Exit code 0 if nothing is found, 1 if anything is.
    """
    from fastffdi.audit.fix import FixFiles
    from fastffdi.audit.report import data as data_of
    from fastffdi.audit.report import text
    from fastffdi.cli.loading import merged
    from fastffdi.cli.record import write_json
    from fastffdi.cli.screen import console

    screen = console()
    dataset = _dataset(data, screen, follow_symlinks)
    screen.print(f"data: {dataset.description}")
    files = None if fix is None else FixFiles.beside(fix)
    _check_outputs(dataset, data, json_file, files, overwrite)
    found = _audit(dataset, merged(None, threads).threads, not quick, screen)
    click.echo(text(found))
    if json_file is not None:
        write_json(json_file, data_of(found))
    if files is not None:
        _fix(found, files)
    if found.findings:
        sys.exit(1)


def _dataset(data: Path | None, screen: Console, follow_symlinks: bool) -> Dataset:
    from fastffdi.data.layout import listed_dataset

    return listed_dataset(data_folder(data, screen), screen.print, follow_symlinks)


def _check_outputs(
    dataset: Dataset, data: Path | None, json_file: Path | None, files: FixFiles | None, overwrite: bool
) -> None:
    """Refuse, before the work, what could not be written or would be lost."""
    from fastffdi.audit.fix import check_fix

    if json_file is not None:
        if not json_file.resolve().parent.is_dir():
            raise SettingError(f"--json {json_file}: there is no folder {json_file.parent}; make it first")
        if json_file.is_dir() or (json_file.exists() and not overwrite):
            raise SettingError(f"--json {json_file}: exists; name another file, or add --overwrite")
        if files is not None and json_file.resolve() in {file.resolve() for file in files.all()}:
            raise SettingError(f"--json {json_file}: is a file that --fix writes; name another file")
    written = [*([] if json_file is None else [json_file]), *([] if files is None else files.all())]
    for file in written:
        _refuse_input(file, dataset, data)
    if files is not None:
        check_fix(files, overwrite)


def _refuse_input(file: Path, dataset: Dataset, data: Path | None) -> None:
    """Raise SettingError where `file` is an image of the data, or a label file in its folder."""
    from fastffdi.data.layout import label_files_of

    if not file.exists():
        return
    images = (path for split in (dataset.train, dataset.val) for path in split.paths())
    labels = [] if data is None else map(str, label_files_of(data))
    same_name = [path for path in (*labels, *images) if path.endswith(f"/{file.resolve().name}")]
    if any(Path(path).exists() and file.samefile(path) for path in same_name):
        raise SettingError(f"{file}: belongs to the data; name another file to write")


def _audit(dataset: Dataset, threads: int, full: bool, screen: Console) -> Audit:
    from fastffdi.audit.audit import audit
    from fastffdi.cli.screen import bar

    with bar(len(dataset.train) + len(dataset.val), "checking", screen) as progress:
        return audit(dataset, threads, full, progress.advance)


def _fix(found: Audit, files: FixFiles) -> None:
    from fastffdi.audit.fix import write

    count = write(found, files)
    click.echo("")
    click.echo(f"{count:,} left out, listed in {files.quarantine}")
    images = " ".join(
        f"--{split}-labels {quote(str(file))} --{split}-images {quote(rows.root)}"
        for split, file, rows in (
            ("train", files.train, found.dataset.train),
            ("val", files.val, found.dataset.val),
        )
    )
    click.echo(f"next: fastffdi train {images}")

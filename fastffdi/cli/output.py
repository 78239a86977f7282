"""The table that predict writes: nothing that is not one of its own is lost for it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from fastffdi.errors import SettingError


def check_output(
    output: Path,
    inputs: Iterable[tuple[str, Path | None]],
    overwrite: bool,
    fill: str = "",
    excel_safe: bool = False,
) -> None:
    """Raise SettingError where `output` cannot be written as its name says, or something would be lost by it.

    `inputs` are files that the command reads, each with what it is; none of them is ever written over.
    Another file is, where it is empty or a table with the columns img_name,y_pred, or with `overwrite`.
    `fill` and `excel_safe` are those of `write_table`.
    """
    from fastffdi.inference.table import check_format, is_table

    if output.is_dir():
        raise SettingError(f"--output {output}: is a folder; name the file to write")
    if not output.resolve().parent.is_dir():
        raise SettingError(f"--output {output}: there is no folder {output.parent}; make it first")
    for what, path in inputs if output.exists() else ():
        if path is not None and path.exists() and output.samefile(path):
            raise SettingError(f"--output {output}: is {what}; name another file to write")
    check_format(output, fill, excel_safe)
    if output.exists() and not overwrite and not is_table(output):
        raise SettingError(
            f"--output {output}: exists, and holds no img_name,y_pred table; name another file, or add "
            "--overwrite"
        )


def check_no_image(output: Path, paths: Iterable[str]) -> None:
    """Raise SettingError where `output` is one of the images at these absolute paths."""
    if not output.exists():
        return
    named = (path for path in paths if path.endswith(f"/{output.name}"))
    if any(os.path.exists(path) and output.samefile(path) for path in named):
        raise SettingError(f"--output {output}: is one of the images; name another file to write")

"""The table that predict writes: nothing that is not one of its own is lost for it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from fastffdi.errors import SettingError

_COLUMNS = [b"img_name", b"y_pred"]

#: Bytes within which the two names of the first line stand.
_HEAD_BYTES = 256


def check_output(output: Path, inputs: Iterable[tuple[str, Path | None]], overwrite: bool) -> None:
    """Raise SettingError where `output` cannot be written, or something would be lost by it.

    `inputs` are files that the command reads, each with what it is; none of them is ever written over.
    Another file is, where it is empty or a table with the columns img_name,y_pred, or with `overwrite`.
    """
    if output.is_dir():
        raise SettingError(f"--output {output}: is a folder; name the CSV file to write")
    if not output.resolve().parent.is_dir():
        raise SettingError(f"--output {output}: there is no folder {output.parent}; make it first")
    if not output.exists():
        return
    for what, path in inputs:
        if path is not None and path.exists() and output.samefile(path):
            raise SettingError(f"--output {output}: is {what}; name another file to write")
    if not overwrite and not _is_table(output):
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


def _is_table(path: Path) -> bool:
    """Whether the file is empty or begins with the columns of predict; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    first = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0]
    return not head or [name.strip(b' "\r') for name in first.split(b",")[:2]] == _COLUMNS

"""The file that --json names: a benchmark's figures, or what else a command has found out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fastffdi.errors import RunError, SettingError
from fastffdi.files import DiskFull, atomic


def check_folder(option: str, file: Path | None) -> None:
    """Raise SettingError where the folder of a file to write does not exist."""
    if file is not None and not file.resolve().parent.is_dir():
        raise SettingError(f"{option} {file}: the folder does not exist; make it first")


def write_record(file: Path, record: dict[str, Any]) -> None:
    """Write a measurement by `write_json`, and say where."""
    write_json(file, record)
    click.echo(f"figures: {file}")


def write_json(file: Path, data: Any) -> None:
    """Write the file of --json, whole or not at all. Raises DiskFull, and RunError where it cannot be."""
    try:
        with atomic(file) as part:
            part.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    except DiskFull:
        raise
    except OSError as error:
        raise RunError(f"--json {file}: cannot be written ({error.strerror}); name another file") from None

"""The file that a benchmark's figures are written to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fastffdi.errors import SettingError
from fastffdi.files import atomic


def check_folder(option: str, file: Path | None) -> None:
    """Raise SettingError where the folder of a file to write does not exist."""
    if file is not None and not file.resolve().parent.is_dir():
        raise SettingError(f"{option} {file}: the folder does not exist; make it first")


def write_record(file: Path, record: dict[str, Any]) -> None:
    """Write a measurement as JSON; the file is whole or absent."""
    with atomic(file) as part:
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    click.echo(f"figures: {file}")

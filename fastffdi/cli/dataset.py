"""What `--data` means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from fastffdi.data.manifest import Manifest


def data_folder(data: Path | None, screen: Console) -> Path:
    """The folder that was named, or that of the built-in demo images, which is printed to `screen`."""
    if data is not None:
        return data
    from fastffdi.cli.demo_data import builtin_folder

    return builtin_folder(screen)


def training_images(data: Path | None, screen: Console, follow_symlinks: bool) -> tuple[Manifest, str]:
    """The training images of a data set, or all of any folder, and one line about them.

    Without `data` they are the built-in demo images, which is printed to `screen`.
    """
    from fastffdi.data.layout import find_dataset, has_splits, plain_folder

    if data is None:
        manifest = find_dataset(data_folder(data, screen)).train
        return manifest, f"{len(manifest)} training images of the demo set"
    if has_splits(data):
        manifest = find_dataset(data, screen.print, follow_symlinks).train
        return manifest, f"{len(manifest)} training images of {data.name}"
    manifest = plain_folder(data, follow_symlinks=follow_symlinks)
    return manifest, f"{len(manifest)} images of {data.name}, without labels"

"""Images that have labels, or may have: the options that name them, the same for every command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from fastffdi.cli.options import Decorator, grouped

if TYPE_CHECKING:
    from fastffdi.data.manifest import Manifest

_FILE = click.Path(path_type=Path)


def labelled(labels: str, several: bool = False) -> Decorator:
    """Give a command --data, --labels and --images; `labels` is the help of the second.

    With `several` the first two may be given more than once, and are tuples.
    """
    more = "; several are several sets." if several else "."
    return grouped(
        click.option(
            "--data", type=_FILE, multiple=several, help=f"Folder as for train: its validation images{more}"
        ),
        click.option("--labels", type=_FILE, multiple=several, help=labels),
        click.option(
            "--images",
            type=_FILE,
            help="Folder of the label file's images.  [default: the label file's own, or the one it is named "
            "after]",
        ),
    )


def images_of(
    data: Path | None,
    labels: Path | None,
    images: Path | None,
    targets: Literal["required", "optional"],
    say: Callable[[str], None],
    follow_symlinks: bool,
) -> Manifest:
    """The images of --data or --labels, one of which is given."""
    from fastffdi.data.labels import read_labels
    from fastffdi.data.layout import find_validation
    from fastffdi.data.links import Links

    if data is not None:
        return find_validation(data, say, follow_symlinks)
    assert labels is not None
    links = Links(images or labels.parent, follow_symlinks)
    return read_labels(labels, images, targets=targets, duplicates=True, say=say, links=links)

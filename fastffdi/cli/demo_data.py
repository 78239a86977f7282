"""fastffdi demo-data"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console


@click.command(name="demo-data")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--train", default=600, show_default=True, help="Training images, half of them fake.")
@click.option("--val", default=200, show_default=True, help="Validation images, half of them fake.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same images.")
def demo_data(folder: Path, train: int, val: int, seed: int) -> None:
    """Write procedural demo images to FOLDER, in the challenge's layout.

    Real and fake images come in pairs of equal size and JPEG quality; the fakes hold a warped, blurred
    and recompressed patch.
    """
    from fastffdi.cli.screen import console, counted
    from fastffdi.demo.dataset import write_demo

    with counted("demo images", console()) as progress:
        write_demo(folder, train, val, seed, progress)
    quoted = shlex.quote(str(folder))
    click.echo(
        f"{train} training and {val} validation images in {folder}; next: fastffdi train --data {quoted}"
    )


def builtin_folder(screen: Console) -> Path:
    """The built-in demo images, made in the cache folder at the first use; says that it uses them."""
    from fastffdi.cli.screen import counted
    from fastffdi.demo.dataset import demo_folder

    with counted("demo images", screen) as progress:
        folder = demo_folder(progress)
    screen.print(f"no data given: using the built-in demo images in {folder}")
    return folder

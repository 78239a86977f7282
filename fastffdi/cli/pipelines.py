"""fastffdi pipelines"""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fastffdi.recipe.catalogue import Entry

_WIDEST = 110


@click.command()
@click.argument("name", required=False)
def pipelines(name: str | None) -> None:
    """List the shipped recipes, and the steps that any recipe is made of; with NAME, print that recipe.

    A recipe of your own begins well as a copy: fastffdi pipelines standard > mine.yaml
    """
    from fastffdi.recipe import catalogue

    if name is not None:
        click.echo(catalogue.text(name), nl=False)
        return
    known = catalogue.recipes()
    click.echo("Recipes: --pipeline NAME, or --pipeline FILE for your own")
    for recipe, use in known.items():
        click.echo(_wrapped(use, f"  {recipe:<{max(map(len, known))}}  "))
    click.echo(f"\nSteps, with their defaults; {catalogue.REQUIRED} where a value must be given")
    click.echo("torchvision's names do as well: CenterCrop for center_crop; else after `also`")
    for entry in catalogue.steps():
        _show(entry)
    click.echo("\nBeside train and eval")
    for entry in catalogue.blocks():
        _show(entry)


def _show(entry: Entry) -> None:
    click.echo(f"\n{_wrapped(str(entry), '  ', 6)}\n{_wrapped(entry.meaning, '      ')}")
    if entry.aliases:
        click.echo(f"      also {', '.join((*entry.aliases, entry.torchvision))}")


def _wrapped(text: str, first: str, indent: int | None = None) -> str:
    """The text after `first`, further lines below it, as wide as the terminal allows."""
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    below = " " * (len(first) if indent is None else indent)
    return textwrap.fill(text, width, initial_indent=first, subsequent_indent=below, break_on_hyphens=False)

"""A table in a terminal, and the same as aligned text elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import click


def show(headings: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int]) -> None:
    """Print rows below headings; the columns `left` hold words, the others numbers."""
    from fastffdi.cli.terminal import Terminal

    if not Terminal().is_terminal:
        click.echo("\n".join(aligned([headings, *rows], left)))
        return
    from fastffdi.cli.bench_tables import show as show_table
    from fastffdi.cli.bench_tables import table

    made = table("", headings, rows)
    for k in left:
        made.columns[k].justify = "left"
    made.columns[0].no_wrap = True
    show_table(made)


def aligned(rows: Sequence[Sequence[str]], left: Collection[int]) -> list[str]:
    """The rows with columns two spaces apart."""
    from fastffdi.escapes import escaped

    shown = [[escaped(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if k in left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in shown
    ]

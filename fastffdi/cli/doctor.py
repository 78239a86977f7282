"""fastffdi doctor"""

from __future__ import annotations

import click


@click.command()
def doctor() -> None:
    """Say what works on this machine, and why the rest does not."""
    from fastffdi.bench.doctor import checks

    for what, state in checks():
        click.echo(f"{what:<24}{state}")

"""What `predict` keeps of a run that ends early, and what it says of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastffdi.errors import FastffdiError
from fastffdi.escapes import escaped
from fastffdi.world import World

if TYPE_CHECKING:
    from fastffdi.inference.parts import Parts

resume = click.option(
    "--resume",
    is_flag=True,
    help="Go on from the scores that an interrupted run has left in OUTPUT.parts, if there are any.  "
    "[default: off]",
)


def done(parts: Parts, world: World) -> int:
    """How many images of this process's share have their scores."""
    return int((parts.known.rows % world.size == world.rank).sum())


@contextmanager
def keeping(parts: Parts, output: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Where the block ends early, say what became of the table, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"interrupted; {_state(parts, output)}")
        raise SystemExit(130) from None
    except SystemExit:
        say(f"terminated; {_state(parts, output)}")
        raise
    except FastffdiError:
        if parts.kept():
            say(f"the scores so far are kept in {escaped(str(parts.folder))}; --resume goes on from them")
        elif World.here().first:
            parts.remove()
        raise


def _state(parts: Parts, output: Path) -> str:
    state = f"{escaped(str(output))} is {'as it was before' if output.exists() else 'not written'}"
    if parts.kept():
        return f"{state}, but the scores so far are kept; the same command with --resume goes on from them"
    if World.here().first:
        parts.remove()
    return f"{state}; the same command begins again"

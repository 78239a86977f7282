"""Which operations torch runs, to tell what code costs on a device without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils._python_dispatch import TorchDispatchMode


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The names of all torch operations that run meanwhile."""
    names: list[str] = []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            names.append(str(operation))
            return operation(*args, **(kwargs or {}))

    with Recorder():
        yield names

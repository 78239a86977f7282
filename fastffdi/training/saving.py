"""Writing checkpoints in a background thread, while training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from torch import nn

from fastffdi.model.checkpoint import Checkpoint, Snapshot, save


class Saver:
    """Writes one checkpoint at a time; a context manager, at whose end all are on disk.

    An error in writing is raised by the next `save` or by `wait`.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "fastffdi-save")
        self._writing: Future[None] | None = None

    def __enter__(self) -> Saver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._thread:
            if error is None:
                self.wait()

    def save(self, checkpoint: Checkpoint, model: nn.Module, paths: Sequence[Path]) -> None:
        """Take a snapshot of the model's weights, and let it be written to each of the paths in turn."""
        self.wait()
        self._writing = self._thread.submit(_write, checkpoint, Snapshot.of(model), paths)

    def wait(self) -> None:
        """Return when everything is written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def _write(checkpoint: Checkpoint, snapshot: Snapshot, paths: Sequence[Path]) -> None:
    for path in paths:
        save(checkpoint, snapshot, path)

"""Writing checkpoints and states in a background thread, while training goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from fastffdi.training.folder import writing


class Saver:
    """Writes to a run's folder, one thing after the other; a context manager, at whose end all is on disk.

    An error in writing is raised by the next call of a method: DiskFull, or a RunError that names the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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

    def save(self, *writes: Callable[[], None]) -> None:
        """Let these be called in turn, when what was begun before is written."""
        self.wait()
        self._writing = self._thread.submit(self._write, writes)

    def check(self) -> None:
        """Raise the error of what was written since, if there was one."""
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Return when everything is written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, writes: tuple[Callable[[], None], ...]) -> None:
        with writing(self._folder):
            for write in writes:
                write()

"""A row's process: started, asked for turns, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import install

from fastffdi.bench.stopwatch import Pass

#: Seconds that a turn may take longer than asked for: at the first, files are packed and code is compiled.
_PATIENCE_S = 600.0


class Failed(Exception):
    """The process has ended instead of answering; the text is why, in one line."""


class Process:
    """A running `with_*.py`; its standard error goes to `errors`."""

    def __init__(self, command: Sequence[str | Path], errors: TextIO) -> None:
        self._errors = errors
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            # A group of its own, so that its workers end with it.
            start_new_session=True,
            # albumentations asks the network for a newer version otherwise.
            env={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"},
        )

    def turn(self, seconds: float, patience_s: float = _PATIENCE_S) -> Pass:
        """A turn of at least so many seconds. Raises Failed."""
        assert self._process.stdin
        assert self._process.stdout
        watch = threading.Timer(seconds + patience_s, self._kill)
        watch.start()
        try:
            with suppress(BrokenPipeError):
                print(seconds, file=self._process.stdin, flush=True)
            # A library may print as well: the answer is the first line that can be one.
            for line in self._process.stdout:
                if line.startswith('{"images"'):
                    return Pass(**json.loads(line))
            raise Failed(self._reason())
        finally:
            watch.cancel()

    def close(self) -> None:
        """End it: by itself if it does, with its workers in any case."""
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.communicate()
        self._kill()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _reason(self) -> str:
        if self._process.wait() == -signal.SIGKILL:
            return "gave no answer in time, or was killed"
        self._errors.seek(0)
        return install.cause(self._errors.read())

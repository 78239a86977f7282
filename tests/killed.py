"""Runs in processes of their own, which end by SIGKILL where they are told to; as a script, what forks them.

Forks of a process that has imported everything need a tenth of a second for what would take each several.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

#: What a run imports when it comes to it.
IMPORTS = (
    "fastffdi.cache.decoder",
    "fastffdi.loaders.cpu",
    "fastffdi.loaders.dali",
    "fastffdi.loaders.process.loader",
    "fastffdi.training.preparation",
    "sklearn.metrics",
    "tensorboard.summary.writer.record_writer",
    "timm.optim",
    "timm.scheduler",
    "torch.utils.tensorboard.summary",
)


@dataclass(frozen=True)
class Kill:
    """When a run ends itself: after so many batches or seconds, or in the middle of its nth saving."""

    batches: int = 0
    seconds: float = 0.0
    saving: int = 0


class Runs:
    """Runs processes, one at a time."""

    def __init__(self, server: subprocess.Popen[bytes]) -> None:
        self._server = server

    def __call__(self, settings: Any, dataset: Any, kill: Kill | None = None) -> int:
        """Run in a process; its exit code, which is negative where a signal ended it."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        pickle.dump((settings, dataset, kill), self._server.stdin)
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


@contextmanager
def runs(errors: Path) -> Iterator[Runs]:
    """Runs, whose standard error goes to a file."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (
        errors.open("wb") as file,
        subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            env=environment,
        ) as server,
    ):
        yield Runs(server)
        assert server.stdin is not None
        server.stdin.close()


def main(requests: IO[bytes]) -> None:
    # All of it here: what a fork imports, it imports again and again.
    import torch

    for name in IMPORTS:
        importlib.import_module(name)
    torch.set_num_threads(1)
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        pid = os.fork()
        if not pid:
            _run(*request)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _run(settings: Any, dataset: Any, kill: Kill | None) -> None:
    from contextlib import closing

    from fastffdi.training.preparation import prepare

    signal.alarm(120)  # should it wait for something that does not come
    kill = kill or Kill()
    if kill.saving:
        _kill_in_saving(kill.saving)
    if kill.seconds:
        timer = threading.Timer(kill.seconds, _end)
        timer.daemon = True
        timer.start()
    with closing(prepare(settings, dataset, lambda line: None)) as experiment:
        experiment.trainer.model.drop_rate = 0.3
        seen = 0

        def told(images: int, means: object) -> None:
            nonlocal seen
            seen += 1
            if seen == kill.batches:
                _end()

        list(experiment.run(told))


def _kill_in_saving(number: int) -> None:
    """End the process in the middle of writing the nth state."""
    from fastffdi.files import atomic
    from fastffdi.training import state

    write, left = state.write_tensors, [number]

    def writes(path: Path, *given: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            with atomic(path) as part:
                write(part, *given)
                part.write_bytes(part.read_bytes()[:-1000])
                _end()
        write(path, *given)

    state.write_tensors = writes  # type: ignore[assignment]


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.stdin.buffer)

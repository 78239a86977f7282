"""The cpu loader in a child process: its threads do not slow the thread that launches CUDA kernels."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, BinaryIO

import torch

from fastffdi.errors import RunError
from fastffdi.loaders.ahead import Planned, one_ahead, planned
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.cpu import reach
from fastffdi.loaders.planner import BatchPlan, BatchPlanner
from fastffdi.loaders.process.child import GRACE_SECONDS
from fastffdi.loaders.process.messages import BatchReady, ReleaseSlot, Request, StartEpoch
from fastffdi.loaders.process.ring import Ring, anonymous_file
from fastffdi.loaders.process.transfer import Transfer, copying
from fastffdi.loaders.process.worker import Job
from fastffdi.loaders.settings import LoaderSettings

#: Not -m: that would put the working folder, and any torch.py in it, before everything else.
_CODE = (
    "import sys; sys.path[:] = sys.argv[5:]; "
    "from fastffdi.loaders.process.child import main; main(*map(int, sys.argv[1:5]))"
)

#: Between two checks that the child lives: a process that was forked beside it may keep the pipe open.
_CHECK_SECONDS = 0.5

#: Signals that a lack of memory may have caused.
_MEMORY_SIGNALS = (signal.SIGKILL, signal.SIGBUS)


class ProcessLoader:
    """Decodes and renders in the threads of one child process, a few batches ahead. One epoch at a time.

    Args:
        planner: the batches; both processes have it, so that only pixels cross, in shared memory
        settings: as CpuLoader's
        device: where the images are to be: cpu, or a CUDA device
        beyond: as CpuLoader's

    The child starts with the loader. It ends with the loader or with this process, whichever ends first.
    """

    def __init__(
        self, planner: BatchPlanner, settings: LoaderSettings, device: torch.device, beyond: bool = True
    ) -> None:
        self.planner = planner
        self._split, size = reach(planner, beyond)
        per_slot = max(1, min(planner.largest, len(planner.sampler)))
        job = Job(planner, settings, beyond, (max(3, settings.prefetch + 2), per_slot, *size, 3))
        self._generation = 0
        self._place = "".join(planner.manifest.paths(slice(0, 1)))  # where the child is, or was when it ended
        self._transfer = Transfer(copying(device))
        with anonymous_file("fastffdi-ring") as memory:
            self._ring = Ring(memory, job.shape)
            self._child, self._pipe = _start(job, memory)
        ours = self._pipe, self._transfer, self._ring
        self._end = weakref.finalize(self, _stop, self._child, *ours, os.getpid())
        if device.type == "cuda":
            self._ring.page_lock()
        _LIVING.add(self)

    def __len__(self) -> int:
        return len(self.planner)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See Backend.epoch. It ends the epoch before. Raises RunError if the child has ended."""
        self._generation += 1
        self._request(StartEpoch(self._generation, epoch, start))
        return self._batches(self._generation, one_ahead(planned(self.planner, self._split, epoch, start)))

    def _batches(self, generation: int, plans: Iterator[Planned]) -> Iterator[Batch]:
        for plan, _, remaining in plans:
            assert generation == self._generation, "a process loader was asked for two epochs at once"
            (self._place,) = self.planner.manifest.paths(plan.rows[:1])
            _refuse_killed()
            ready = self._rendered(generation, plan)
            images = self._transfer.take(ready.slot, self._ring.slots[ready.slot, : len(plan.rows)])
            self._release(self._transfer.completed())
            yield self.planner.batch(plan, images, remaining, ready.corrupt)

    def close(self) -> None:
        """See Backend.close. Images given out stay valid."""
        _LIVING.discard(self)
        self._end()

    def _rendered(self, generation: int, plan: BatchPlan) -> BatchReady:
        """The generation's next batch; the slots of those of cancelled epochs are released on the way."""
        # With two copies in flight the child could be out of slots, and this wait without an end.
        self._release(self._transfer.all_but_one())
        while True:
            report = self._receive(plan)
            if report.generation in (0, generation):
                if report.error is not None:
                    raise report.error
                return report
            if report.error is None:
                self._release([report.slot])

    def _receive(self, plan: BatchPlan) -> BatchReady:
        self._refuse_closed()
        try:
            report = _received(self._pipe, self._child)
        except (EOFError, OSError):
            raise self._lost() from None
        assert isinstance(report, BatchReady)
        return report

    def _lost(self) -> RunError:
        self.close()
        return _lost(self._child.returncode, self._place)

    def _release(self, slots: list[int]) -> None:
        for slot in slots:
            self._request(ReleaseSlot(slot))

    def _request(self, request: Request) -> None:
        self._refuse_closed()
        with contextlib.suppress(OSError):  # the child has ended; `_receive` reports why
            self._pipe.send(request)

    def _refuse_closed(self) -> None:
        if not self._end.alive:
            raise RunError("--loader cpu: the loader is closed, or its process has ended; build another")


#: All that have a child, of which training has one for each split.
_LIVING: weakref.WeakSet[ProcessLoader] = weakref.WeakSet()


def _refuse_killed() -> None:
    """Raise RunError where a signal has ended a child, whichever loader's, and whatever it has left.

    A loader whose batches are not awaited for minutes would say nothing until then.
    """
    for loader in list(_LIVING):
        code = loader._child.poll()
        if code is not None and code < 0:
            raise loader._lost()


def _start(job: Job, memory: BinaryIO) -> tuple[subprocess.Popen[bytes], Connection[Any, Any]]:
    """Start the child; it, and the pipe to it."""
    ours, theirs = Pipe()
    with anonymous_file("fastffdi-job") as file, theirs:
        # In a file and not through the pipe, which the child is slow to read from at first.
        pickle.dump(job, file, pickle.HIGHEST_PROTOCOL)
        file.seek(0)
        inherited = theirs.fileno(), memory.fileno(), file.fileno()
        numbers = [str(number) for number in (*inherited, job.shape[0])]
        try:
            with _without_signals():
                child = subprocess.Popen(
                    [sys.executable, "-c", _CODE, *numbers, *sys.path],
                    pass_fds=inherited,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
        except OSError as error:
            raise RunError(
                f"--loader cpu: its child process cannot be started ({error}); use --no-loader-process"
            ) from None
    return child, ours


@contextlib.contextmanager
def _without_signals() -> Iterator[None]:
    """Start processes with SIGINT and SIGTERM blocked: all of a group may get them; the parent decides."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(
    child: subprocess.Popen[bytes],
    pipe: Connection[Any, Any],
    transfer: Transfer,
    ring: Ring,
    owner: int,
) -> None:
    """Close the pipe, and send SIGKILL where the child has not ended by it."""
    if os.getpid() != owner:  # in a fork of the owner, which still needs the child
        pipe.close()
        return
    with pipe, socket.socket(fileno=os.dup(pipe.fileno())) as whole, contextlib.suppress(OSError):
        whole.shutdown(socket.SHUT_RDWR)  # closing is not enough where forks have it open as well
    for number in (0, signal.SIGKILL):  # 0 does nothing
        child.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS + 1)
            break
    transfer.close()
    ring.close()


def _received(pipe: Connection[Any, Any], child: subprocess.Popen[bytes]) -> Any:
    """The child's next message. Raises EOFError or OSError where it has ended."""
    while not pipe.poll(_CHECK_SECONDS):
        if child.poll() is not None and not pipe.poll():
            raise EOFError
    return pipe.recv()


def _lost(code: int | None, path: str) -> RunError:
    """The error for a child that ended by itself before the batch that begins with `path` came."""
    how = f"exit code {code}"
    if code is not None and code < 0:
        memory = ", perhaps for lack of memory" if -code in _MEMORY_SIGNALS else ""
        how = f"signal {-code}: {signal.strsignal(-code)}{memory}"
    return RunError(
        f"--loader cpu: its child process ended ({how}) at the batch that begins with {path} or soon after; "
        "lower --threads or --batch-size, or use --no-loader-process"
    )

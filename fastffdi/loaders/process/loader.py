"""The cpu loader in a process of its own: its threads leave the thread that launches kernels in peace."""

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
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.cpu import reach
from fastffdi.loaders.planner import BatchPlan, BatchPlanner
from fastffdi.loaders.process.child import GRACE_SECONDS
from fastffdi.loaders.process.messages import BatchReady, ReleaseSlot, StartEpoch
from fastffdi.loaders.process.ring import Ring, anonymous_file
from fastffdi.loaders.process.transfer import Transfer, copying
from fastffdi.loaders.process.worker import Job

#: Not -m: that would put the working folder, and any torch.py in it, before everything else.
_CODE = (
    "import sys; sys.path[:] = sys.argv[5:]; "
    "from fastffdi.loaders.process.child import main; main(*map(int, sys.argv[1:5]))"
)

#: What can have ended a process that used too much memory.
_WANT = (signal.SIGKILL, signal.SIGBUS)


class ProcessLoader:
    """Decodes and renders in the threads of one child process, a few batches ahead. One epoch at a time.

    feed     the batches; both processes have it, so that only images cross, in shared memory
    threads  how many images are worked on at once
    device   where the images are to be: cpu, or a CUDA device
    beyond   see CpuLoader
    ahead    batches rendered before they are asked for

    The child starts with the loader, and ends with it or with this process, whichever ends first.
    """

    def __init__(
        self, planner: BatchPlanner, threads: int, device: torch.device, beyond: bool = True, ahead: int = 2
    ) -> None:
        self.planner = planner
        self._done, size = reach(planner, beyond)
        per_slot = max(1, min(planner.batch_size, len(planner.sampler)))
        job = Job(planner, threads, beyond, ahead, (max(3, ahead + 2), per_slot, *size, 3))
        self._generation = 0
        self._transfer = Transfer(copying(device))
        with anonymous_file("fastffdi-ring") as memory:
            self._ring = Ring(memory, job.shape)
            self._child, self._pipe = _start(job, memory)
        ours = self._pipe, self._transfer, self._ring
        self._end = weakref.finalize(self, _ended, self._child, *ours, os.getpid())
        if device.type == "cuda":
            self._ring.page_lock()

    def __len__(self) -> int:
        return len(self.planner)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See Loader.epoch. Beginning an epoch ends the one before. Raises RunError if the child ended."""
        generation = self._generation = self._generation + 1
        self._order(StartEpoch(generation, epoch, start))
        for work in self.planner.epoch(epoch, start):
            assert generation == self._generation, "a process loader was asked for two epochs at once"
            slot = self._rendered(generation, work)
            images = self._transfer.take(slot, self._ring.slots[slot, : len(work.rows)])
            self._free(self._transfer.completed())
            yield self.planner.batch(work, images, self._done)

    def close(self) -> None:
        """See Loader.close. Images given out stay valid."""
        self._end()

    def _rendered(self, generation: int, work: BatchPlan) -> int:
        """The slot of the generation's next batch; those of epochs given up are let go of on the way."""
        # With two copies under way the child could be out of slots, and this wait without an end.
        self._free(self._transfer.all_but_one())
        while True:
            answer = self._answer(work)
            if answer.generation in (0, generation):
                if answer.error is not None:
                    raise answer.error
                return answer.slot
            if answer.error is None:
                self._free([answer.slot])

    def _answer(self, work: BatchPlan) -> BatchReady:
        self._refuse_closed()
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError):
            self.close()
            raise _lost(self._child.returncode, self.planner.manifest.paths(work.rows[:1])[0]) from None
        assert isinstance(answer, BatchReady)
        return answer

    def _free(self, slots: list[int]) -> None:
        for slot in slots:
            self._order(ReleaseSlot(slot))

    def _order(self, order: StartEpoch | ReleaseSlot) -> None:
        self._refuse_closed()
        with contextlib.suppress(OSError):  # the child has ended; why is told where its answer is missing
            self._pipe.send(order)

    def _refuse_closed(self) -> None:
        if not self._end.alive:
            raise RunError("--loader cpu: the loader is closed, or its process has ended; build another")


def _start(job: Job, memory: BinaryIO) -> tuple[subprocess.Popen[bytes], Connection[Any, Any]]:
    """The child, which imports what it needs meanwhile, and the pipe to it."""
    ours, theirs = Pipe()
    with anonymous_file("fastffdi-job") as file, theirs:
        # In a file and not through the pipe, which the child is slow to read from at first.
        pickle.dump(job, file, pickle.HIGHEST_PROTOCOL)
        file.seek(0)
        inherited = theirs.fileno(), memory.fileno(), file.fileno()
        numbers = [str(number) for number in (*inherited, job.shape[0])]
        try:
            with _without_interrupts():
                child = subprocess.Popen(
                    [sys.executable, "-c", _CODE, *numbers, *sys.path],
                    pass_fds=inherited,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
        except OSError as error:
            raise RunError(
                f"--loader cpu: its process cannot be started ({error}); take --no-loader-process"
            ) from None
    return child, ours


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """What is started here is never interrupted: Ctrl-C goes to all, what to do is the parent's to say."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ended(
    child: subprocess.Popen[bytes],
    pipe: Connection[Any, Any],
    transfer: Transfer,
    ring: Ring,
    owner: int,
) -> None:
    """End the child by ending the pipe, with more emphasis if that is not enough; no zombie is left."""
    if os.getpid() != owner:  # a fork of the owner, which still needs the child
        pipe.close()
        return
    with pipe, socket.socket(fileno=os.dup(pipe.fileno())) as whole, contextlib.suppress(OSError):
        whole.shutdown(socket.SHUT_RDWR)  # to close it is not enough where forks have it open as well
    for emphasis in (0, signal.SIGTERM, signal.SIGKILL):  # 0 does nothing
        child.send_signal(emphasis)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS + 1)
            break
    transfer.close()
    ring.close()


def _lost(code: int | None, path: str) -> RunError:
    """What to tell of a child that ended by itself, when the batch that begins with `path` was due."""
    how = f"exit code {code}"
    if code is not None and code < 0:
        want = ", perhaps for want of memory" if -code in _WANT else ""
        how = f"signal {-code}: {signal.strsignal(-code)}{want}"
    return RunError(
        f"--loader cpu: its process ended ({how}) at the batch that begins with {path} or soon after; lower "
        "--threads or --batch-size, or take --no-loader-process"
    )

"""The child's work on threads of this process: quick enough for every order of events."""

import os
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, BinaryIO

import torch

from fastffdi.loaders.process.child import listen
from fastffdi.loaders.process.messages import Inbox
from fastffdi.loaders.process.worker import Job, Worker


class Threads:
    """Stands in for the child: what it does, on two threads."""

    returncode = None

    def __init__(self, job: Job, memory: BinaryIO, pipe: Connection) -> None:
        self.pipe, self.inbox = pipe, Inbox(job.shape[0])
        self.worker = Worker(job, memory, self.inbox, pipe.send)
        self.threads = [threading.Thread(target=target) for target in (self.listen, self.worker.run)]
        for thread in self.threads:
            thread.start()

    def listen(self) -> None:
        listen(self.pipe, self.inbox)
        self.inbox.end()

    def poll(self) -> None:
        return None

    def send_signal(self, number: int) -> None:
        assert number == 0

    def wait(self, seconds: float) -> None:
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()
        self.pipe.close()


class LateCopy:
    """A copy that is made when it is waited for: as late as CUDA may make it."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images, self.copy, self.done = images, torch.zeros_like(images), False

    def query(self) -> bool:
        return self.done

    def synchronize(self) -> None:
        if not self.done:
            self.copy.copy_(self.images)
        self.done = True


class Impatient(Connection):
    """The parent's end of the pipe; a report that never comes fails, and does not hang."""

    def recv(self) -> Any:
        assert self.poll(10), "no report for ten seconds"
        return super().recv()


def on_threads(job: Job, memory: BinaryIO) -> tuple[Threads, Connection]:
    ours, theirs = Pipe()
    with ours:
        return Threads(job, memory, theirs), Impatient(os.dup(ours.fileno()))


def late_copies(device: torch.device) -> Callable:
    def copy(images: torch.Tensor) -> tuple[torch.Tensor, LateCopy]:
        late = LateCopy(images)
        return late.copy, late

    return copy

"""What runs in the child process that `ProcessLoader` starts.

The child exits when the pipe to its parent closes, however the parent may have ended.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import threading
import time
import warnings
from multiprocessing.connection import Connection
from typing import Any

from fastffdi.loaders.process.messages import BatchReady, Inbox, to_loader_error

#: Between two checks that the parent lives: a process that it forked may keep the pipe open after its end.
_CHECK_SECONDS = 1.0

#: How long the threads may take to finish when the parent has ended.
GRACE_SECONDS = 1.0


def main(pipe_number: int, memory_number: int, job_number: int, slots: int) -> None:
    """Serve the parent; the numbers are those of inherited file descriptors."""
    pipe: Connection[Any, Any] = Connection(pipe_number)
    inbox = Inbox(slots)
    # Before the imports, which take seconds: the parent may end meanwhile.
    threading.Thread(target=_listen_and_end, args=(pipe, inbox), daemon=True).start()
    atexit.register(os._exit, 0)  # the last handler to run; unloading torch takes most of a second
    warnings.filterwarnings("ignore", module=r"PIL\.")  # as in cli.main
    try:
        from fastffdi.loaders.process.worker import Worker

        with open(job_number, "rb") as file:
            job = pickle.load(file)
        with open(memory_number, "r+b") as memory:
            worker = Worker(job, memory, inbox, pipe.send)
        worker.run()
    except Exception as error:  # whatever it is, only the parent can report it
        with contextlib.suppress(OSError):
            pipe.send(BatchReady(0, error=to_loader_error(error)))


def listen(pipe: Connection[Any, Any], inbox: Inbox) -> None:
    """Put the parent's requests into the inbox until the pipe closes, or the parent has ended."""
    parent = os.getppid()
    try:
        while True:
            while not pipe.poll(_CHECK_SECONDS):
                if os.getppid() != parent:
                    return
            inbox.put(pipe.recv())
    except (EOFError, OSError):
        return


def _listen_and_end(pipe: Connection[Any, Any], inbox: Inbox) -> None:
    try:
        listen(pipe, inbox)
    except BaseException:  # without this thread the others would wait for ever, and the parent for them
        os._exit(1)
    if inbox.end():  # otherwise nothing has been started
        time.sleep(GRACE_SECONDS)
    os._exit(0)

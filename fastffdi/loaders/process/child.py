"""The loading process: what runs in the child that `ProcessLoader` starts.

It ends when the pipe to its parent does, however the parent may have ended.
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

#: Between two looks at whether the parent lives: a process it forked may keep the pipe open after its end.
_LOOK_SECONDS = 1.0

#: How long the threads may take to finish when the parent is gone.
GRACE_SECONDS = 1.0


def main(pipe_number: int, memory_number: int, job_number: int, slots: int) -> None:
    """Serve the parent; the numbers are those of inherited file descriptors."""
    pipe: Connection[Any, Any] = Connection(pipe_number)
    orders = Inbox(slots)
    # Before the imports, which take seconds: the parent may end meanwhile.
    threading.Thread(target=_listen_and_end, args=(pipe, orders), daemon=True).start()
    atexit.register(os._exit, 0)  # the last handler to run; to take torch down would last most of a second
    warnings.filterwarnings("ignore", module=r"PIL\.")  # as in cli.main
    try:
        from fastffdi.loaders.process.worker import Worker

        with open(job_number, "rb") as file:
            job = pickle.load(file)
        with open(memory_number, "r+b") as memory:
            worker = Worker(job, memory, orders, pipe.send)
        worker.run()
    except Exception as error:  # whatever it is, only the parent can tell of it
        with contextlib.suppress(OSError):
            pipe.send(BatchReady(0, error=to_loader_error(error)))


def listen(pipe: Connection[Any, Any], orders: Inbox) -> None:
    """Pass on the parent's orders until the pipe ends, or the parent."""
    parent = os.getppid()
    try:
        while True:
            while not pipe.poll(_LOOK_SECONDS):
                if os.getppid() != parent:
                    return
            orders.put(pipe.recv())
    except (EOFError, OSError):
        return


def _listen_and_end(pipe: Connection[Any, Any], orders: Inbox) -> None:
    listen(pipe, orders)
    if orders.end():  # else nothing can be half done
        time.sleep(GRACE_SECONDS)
    os._exit(0)

"""Memory that two processes share: slots, each as large as a batch of images."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from typing import Any, BinaryIO

import torch

from fastffdi.errors import RunError

#: For every CUDA context of the process, not only the one that is current (cudaHostRegisterPortable).
_PORTABLE = 1


def anonymous_file(name: str) -> BinaryIO:
    """An empty file that is in no folder: it disappears with the last process that has it open.

    `name` is shown in the system's lists of open files.
    """
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create(name), "w+b")
    return tempfile.TemporaryFile()


class Ring:
    """Slots in a file of anonymous memory that both processes map.

    Attributes:
        slots: (S, N, H, W, 3) uint8: the images of S batches

    The memory is freed with the last mapping; there is no name in /dev/shm that could be left over.
    """

    def __init__(self, file: BinaryIO, shape: tuple[int, ...]) -> None:
        """Map `file`, which may be closed then; it grows to the size of `shape`."""
        size = math.prod(shape)
        if os.fstat(file.fileno()).st_size < size:
            file.truncate(size)
        self.slots = torch.frombuffer(mmap.mmap(file.fileno(), size), dtype=torch.uint8).view(shape)
        self._locked = False

    def page_lock(self) -> None:
        """Let CUDA copy from the slots while the host goes on. Raises RunError where CUDA refuses."""
        place, size = self.slots.data_ptr(), self.slots.nbytes
        code = int(_cudart().cudaHostRegister(place, size, _PORTABLE))
        if code:
            raise RunError(
                f"--loader cpu: CUDA cannot page-lock {size / 2**20:.0f} MiB (CUDA error {code}); "
                "lower --batch-size, or take --no-loader-process"
            )
        self._locked = True

    def close(self) -> None:
        """Undo `page_lock`; the memory itself goes with the last tensor on it."""
        if self._locked:
            self._locked = False
            _cudart().cudaHostUnregister(self.slots.data_ptr())


def _cudart() -> Any:
    return torch.cuda.cudart()  # type: ignore[no-untyped-call]

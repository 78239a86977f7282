"""Out of memory: the error of torch or Python, told with what would need less."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fastffdi.errors import RunError

#: What torch and its libraries say where memory is used up, in errors that are of no class of their own.
_WORDS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


@contextmanager
def explained(batch_size: int, device: torch.device, accumulate: int = 1) -> Iterator[None]:
    """Turn an error for want of memory into a RunError that names the batch size and a smaller one.

    `accumulate` is how many batches make an update.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_for_want_of_memory(error):
            raise
        raise RunError(_described(batch_size, device, accumulate)) from error


def is_for_want_of_memory(error: Exception) -> bool:
    """Whether the device's memory, or the host's, was used up."""
    known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return known or any(word in str(error) for word in _WORDS)


def _described(batch_size: int, device: torch.device, accumulate: int) -> str:
    what = f"out of memory on {device} with --batch-size {batch_size}"
    if batch_size == 1:
        return f"{what}; take a smaller backbone, or smaller images by --pipeline"
    half, times = batch_size // 2, 2 * accumulate
    return f"{what}; --batch-size {half} --accumulate {times} makes updates of as many images in less memory"

"""The cpu loader: a pool of threads around C code that releases the GIL."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np
import torch

from fastffdi.loaders.batch import Batch
from fastffdi.loaders.feed import Feed, Work
from fastffdi.loaders.source import Source
from fastffdi.recipe.kernels import Program
from fastffdi.recipe.lowering import outline, picture_size
from fastffdi.render.cpu.renderer import can_render, render
from fastffdi.render.split import cut

#: Pictures a thread takes at a time: few enough to share out a batch evenly, enough to hide the hand-over.
_SPAN = 8


class CpuLoader:
    """Decodes and renders in threads, a few batches ahead.

    feed     the batches
    threads  how many pictures are worked on at once
    beyond   render past the sizing point (right when the model is on the CPU as well)
    pinned   give images in page-locked memory, for asynchronous copies to CUDA
    ahead    batches rendered before they are asked for
    """

    def __init__(
        self, feed: Feed, threads: int, beyond: bool = True, pinned: bool = False, ahead: int = 2
    ) -> None:
        self.feed = feed
        self._outline = outline(feed.steps)
        self._cut = cut(self._outline, can_render, "cpu", beyond)
        self._size = picture_size(Program(self._outline.kernels[: self._cut]))
        self._pinned, self._ahead = pinned, ahead
        cv2.setNumThreads(0)
        everyone = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(threads, "fastffdi-cpu", _use_one_core, (everyone,))

    def __len__(self) -> int:
        return len(self.feed)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See Loader.epoch."""
        ahead: deque[_Rendering] = deque()
        try:
            for work in self.feed.epoch(epoch, start):
                ahead.append(self._begin(work))
                if len(ahead) > self._ahead:
                    yield self._finish(ahead.popleft())
            while ahead:
                yield self._finish(ahead.popleft())
        finally:
            for rendering in ahead:
                rendering.cancel()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _begin(self, work: Work) -> _Rendering:
        n = len(work.rows)
        images = torch.empty((n, *self._size, 3), dtype=torch.uint8, pin_memory=self._pinned)
        program = Program(work.program.kernels[: self._cut])
        rows, paths = work.rows.tolist(), self.feed.manifest.paths(work.rows)
        spans = [slice(first, first + _SPAN) for first in range(0, n, _SPAN)]
        futures = [
            self._pool.submit(_render_span, self.feed.source, rows, paths, program, span, images.numpy())
            for span in spans
        ]
        return _Rendering(work, images, futures)

    def _finish(self, rendering: _Rendering) -> Batch:
        try:
            for future in rendering.futures:
                future.result()
        finally:
            rendering.cancel()
        return self.feed.batch(rendering.work, rendering.images, self._cut)


class _Rendering:
    """A batch that threads are at work on."""

    def __init__(self, work: Work, images: torch.Tensor, futures: list[Future[None]]) -> None:
        self.work, self.images, self.futures = work, images, futures

    def cancel(self) -> None:
        for future in self.futures:
            future.cancel()


def _render_span(
    source: Source, rows: list[int], paths: list[str], program: Program, span: slice, images: np.ndarray
) -> None:
    for i in range(*span.indices(len(rows))):
        images[i] = render(source(rows[i], paths[i], program, i), program, i)


def _use_one_core(everyone: int) -> None:
    """Keep torch's own threads out of this worker, and of this worker only.

    torch sets a thread up from a process-wide number at the first question, so it is asked first; then the
    process-wide number, which set_num_threads changes as well, is put back by a thread that ends at once.
    """
    torch.get_num_threads()
    torch.set_num_threads(1)
    keeper = threading.Thread(target=torch.set_num_threads, args=(everyone,))
    keeper.start()
    keeper.join()

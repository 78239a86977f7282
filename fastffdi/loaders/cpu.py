"""The cpu loader: a pool of threads around C code that releases the GIL."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import cv2
import numpy as np
import torch

from fastffdi.data.source import Source
from fastffdi.errors import FastffdiError, RunError
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.planner import BatchPlan, BatchPlanner
from fastffdi.recipe.kernels import Program
from fastffdi.recipe.lowering import image_size
from fastffdi.render.cpu.renderer import can_render, render_into
from fastffdi.render.split import cut

#: Images a thread takes at a time: few enough to share out a batch evenly, enough to hide the hand-over.
_SPAN = 8


class CpuLoader:
    """Decodes and renders in threads, a few batches ahead.

    feed      the batches
    threads   how many images are worked on at once
    beyond    render past the sizing point (right when the model is on the CPU as well)
    pinned    give images in page-locked memory, for asynchronous copies to CUDA
    ahead     batches rendered before they are asked for
    allocate  gives memory (n, H, W, 3) uint8 for n images, batch by batch in their order. None: memory that
              no other batch has
    """

    def __init__(
        self,
        planner: BatchPlanner,
        threads: int,
        beyond: bool = True,
        pinned: bool = False,
        ahead: int = 2,
        allocate: Callable[[int], torch.Tensor] | None = None,
    ) -> None:
        self.planner = planner
        self._cut, self._size = reach(planner, beyond)
        self._begun = planner.begun
        self._pinned, self._ahead = pinned, ahead
        self._allocate = allocate
        cv2.setNumThreads(0)
        everyone = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(threads, "fastffdi-cpu", _use_one_core, (everyone,))

    def __len__(self) -> int:
        return len(self.planner)

    def epoch(self, epoch: int, start: int = 0) -> Generator[Batch, None, None]:
        """See Loader.epoch. When an epoch is given up, or fails, no thread is at work on it any more."""
        ahead: deque[_Rendering] = deque()
        try:
            for work in self.planner.epoch(epoch, start):
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

    def _begin(self, work: BatchPlan) -> _Rendering:
        n = len(work.rows)
        images = self._empty(n) if self._allocate is None else self._allocate(n)
        program = Program(work.program.kernels[: self._cut])
        source, rows, paths = self.planner.source, work.rows.tolist(), self.planner.manifest.paths(work.rows)
        spans = [slice(first, first + _SPAN) for first in range(0, n, _SPAN)]
        futures = [
            self._pool.submit(_render_span, source, rows, paths, program, self._begun, span, images.numpy())
            for span in spans
        ]
        return _Rendering(work, images, futures)

    def _empty(self, count: int) -> torch.Tensor:
        return torch.empty((count, *self._size, 3), dtype=torch.uint8, pin_memory=self._pinned)

    def _finish(self, rendering: _Rendering) -> Batch:
        try:
            for future in rendering.futures:
                future.result()
        except BaseException:
            rendering.cancel()
            raise
        return self.planner.batch(rendering.work, rendering.images, self._cut)


class _Rendering:
    """A batch that threads are at work on."""

    def __init__(self, work: BatchPlan, images: torch.Tensor, futures: list[Future[None]]) -> None:
        self.work, self.images, self.futures = work, images, futures

    def cancel(self) -> None:
        """Give up what has not begun, and wait for what has: its memory may have another use."""
        wait([future for future in self.futures if not future.cancel()])


def reach(planner: BatchPlanner, beyond: bool) -> tuple[int, tuple[int, int]]:
    """How many kernels of a feed's programs the cpu loader renders, and its images' height and width then.

    `beyond` is CpuLoader's. Raises RecipeError where it cannot bring all images to one size.
    """
    program = planner.template
    done = max(planner.begun, cut(program, can_render, "cpu", beyond))
    return done, image_size(Program(program.kernels[:done]))


def _render_span(
    source: Source,
    rows: list[int],
    paths: list[str],
    program: Program,
    begun: int,
    span: slice,
    images: np.ndarray,
) -> None:
    rest = Program(program.kernels[begun:])
    for i in range(*span.indices(len(rows))):
        try:
            render_into(images[i], source(rows[i], paths[i], program, i), rest, i)
        except FastffdiError:
            raise
        except Exception as error:  # torch and OpenCV raise what they like, and name no file
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise RunError(f"{paths[i]}: cannot be rendered ({reason}); take it off the list") from error


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

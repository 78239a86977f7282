"""The cpu loader: a pool of threads around C code that releases the GIL."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from typing import NamedTuple

import cv2
import numpy as np
import torch

from fastffdi.data.readers import ReaderThreads
from fastffdi.errors import FastffdiError, RunError, UndecodableImage
from fastffdi.loaders.ahead import Planned, begun, one_ahead, planned
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.corrupt import Corrupt
from fastffdi.loaders.placeholder import fill
from fastffdi.loaders.planner import BatchPlan, BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.lowering import output_size
from fastffdi.recipe.program import Program
from fastffdi.render.cpu.decode import Decoder
from fastffdi.render.cpu.renderer import can_render, render_into
from fastffdi.render.memory import Pool
from fastffdi.render.split import Split, split

#: Images a thread takes at a time: few enough to share out a batch evenly, enough to hide the hand-over.
_SPAN = 8


class CpuLoader:
    """Decodes and renders in threads, a few batches ahead.

    Args:
        planner: the batches
        settings: how many threads, and how many batches are rendered before they are asked for
        beyond: render past the sizing point (right when the model is on the CPU as well)
        pinned: give images in page-locked memory, for asynchronous copies to CUDA
        allocate: gives memory (n, H, W, 3) uint8 for n images, batch by batch in their order. None: new
            memory for every batch
    """

    def __init__(
        self,
        planner: BatchPlanner,
        settings: LoaderSettings,
        beyond: bool = True,
        pinned: bool = False,
        allocate: Callable[[int], torch.Tensor] | None = None,
    ) -> None:
        self.planner = planner
        self._split, self._size = reach(planner, beyond)
        self._pinned, self._prefetch = pinned, settings.prefetch
        self._allocate = allocate
        self._memory = Pool(spare=settings.prefetch + 2)
        cv2.setNumThreads(0)
        process_threads = torch.get_num_threads()
        self._threads = ReaderThreads(
            settings.threads, "fastffdi-cpu", settings.read_timeout, _use_one_core, process_threads
        )

    def __len__(self) -> int:
        return len(self.planner)

    def epoch(self, epoch: int, start: int = 0) -> Generator[Batch, None, None]:
        """See Backend.epoch. When an epoch is closed, or fails, no thread works on it any more.

        But for one that reads what does not come: then it raises Stalled, and so does the next epoch.
        """
        return begun(self._batches(one_ahead(planned(self.planner, self._split, epoch, start))))

    def _batches(self, plans: Iterator[Planned]) -> Generator[Batch | None, None, None]:
        """None when the first batches are being rendered, then the batches."""
        ahead: deque[_Rendering] = deque()
        try:
            for plan in itertools.islice(plans, self._prefetch):
                ahead.append(self._start(plan))
            yield None
            for plan in plans:
                ahead.append(self._start(plan))
                yield self._finish(ahead.popleft())
            while ahead:
                yield self._finish(ahead.popleft())
        finally:
            for rendering in ahead:
                self._threads.finish(rendering.futures)

    def close(self) -> None:
        """See Backend.close."""
        self._threads.close()

    def _start(self, planned: Planned) -> _Rendering:
        plan, n = planned.plan, len(planned.plan.rows)
        images = self._empty(n) if self._allocate is None else self._allocate(n)
        paths = self.planner.manifest.paths(plan.rows)
        task = _Task(
            self.planner.decoder,
            plan,
            planned.rendered,
            paths,
            images.numpy(),
            self.planner.skip_corrupt,
            self._threads.begin,
        )
        spans = [slice(first, first + _SPAN) for first in range(0, n, _SPAN)]
        return _Rendering(planned, images, task.corrupt, [self._threads.submit(task, span) for span in spans])

    def _empty(self, n: int) -> torch.Tensor:
        shape = (n, *self._size, 3)
        if self._pinned:  # torch has a pool of its own for such
            return torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        return self._memory.empty(shape)

    def _finish(self, rendering: _Rendering) -> Batch:
        try:
            for future in rendering.futures:
                self._threads.result(future)
        except BaseException:
            # Its memory may be used for something else.
            self._threads.finish(rendering.futures)
            raise
        plan, _, remaining = rendering.planned
        corrupt = sorted(rendering.corrupt, key=lambda corrupt: corrupt.place)
        fill(rendering.images, corrupt)
        return self.planner.batch(plan, rendering.images, remaining, corrupt)


class _Rendering(NamedTuple):
    """A batch that threads are working on."""

    planned: Planned
    images: torch.Tensor
    corrupt: list[Corrupt]
    futures: list[Future[None]]


class _Task:
    """Decodes and renders spans of a batch into `images` (n, H, W, 3).

    Attributes:
        corrupt: those left out, where they are to be skipped
    """

    def __init__(
        self,
        decoder: Decoder,
        plan: BatchPlan,
        program: Program,
        paths: list[str],
        images: np.ndarray,
        skip: bool,
        begin: Callable[[str], None],
    ) -> None:
        self._decoder, self._plan, self._program, self._skip = decoder, plan, program, skip
        self._begin = begin
        self.corrupt: list[Corrupt] = []
        self._rows, self._paths, self._images = plan.rows.tolist(), paths, images

    def __call__(self, span: slice) -> None:
        for i in range(*span.indices(len(self._rows))):
            self._begin(self._paths[i])
            try:
                self._render(i)
            except UndecodableImage as error:
                if not self._skip:
                    raise
                self.corrupt.append(Corrupt(i, error))
            except FastffdiError:
                raise
            except Exception as error:  # torch and OpenCV raise what they like, and name no file
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                raise RunError(
                    f"{self._paths[i]}: cannot be rendered ({reason}); take it off the list"
                ) from error

    def _render(self, i: int) -> None:
        image = self._decoder(self._rows[i], self._paths[i], self._plan.prefix, self._program, i)
        render_into(self._images[i], image, self._program, i)


def reach(planner: BatchPlanner, beyond: bool) -> tuple[Split, tuple[int, int]]:
    """How far the cpu loader renders a planner's programs, and the height and width of its images then.

    `beyond` is CpuLoader's. Raises RecipeError where it cannot bring all images to one size.
    """
    prefix, program = planner.template
    reached = split(program, can_render, "cpu", beyond, before=prefix)
    done = (*prefix.kernels, *reached.loader(program).kernels)
    return reached, output_size(Program(done))


def _use_one_core(process_threads: int) -> None:
    """Let torch use one thread in this worker, and in this worker only.

    torch sets a thread up from a process-wide number when it is first asked, so it is asked first; then the
    process-wide number, which set_num_threads changes as well, is restored by a thread that ends at once.
    """
    torch.get_num_threads()
    torch.set_num_threads(1)
    keeper = threading.Thread(target=torch.set_num_threads, args=(process_threads,))
    keeper.start()
    keeper.join()

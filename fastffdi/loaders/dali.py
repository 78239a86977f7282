"""The dali loader: DALI decodes and renders, on a GPU or on the CPU, and torch takes over without a copy."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from nvidia.dali import Pipeline
from torch.utils.dlpack import from_dlpack

from fastffdi.errors import FastffdiError, RunError, UndecodableImage
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.planner import BatchPlan, BatchPlanner
from fastffdi.recipe.kernels import Program
from fastffdi.recipe.lowering import template
from fastffdi.render.cpu.decode import decode_file
from fastffdi.render.dali import arguments, can_render, graph, path_matrix
from fastffdi.render.split import cut


class DaliLoader:
    """Decodes and renders in a DALI pipeline, `depth` batches ahead. One epoch at a time.

    feed             the batches
    threads          DALI's CPU threads; on a GPU they read files and share in decoding
    device           where the images are to be: cpu, or a CUDA device
    depth            batches under way at once; each holds its decoded images in memory
    hw_decoder_load  see LoaderSettings
    """

    def __init__(
        self,
        planner: BatchPlanner,
        threads: int,
        device: torch.device,
        depth: int = 2,
        hw_decoder_load: float | None = None,
    ) -> None:
        self.planner = planner
        self._outline = template(planner.steps)
        self._cut = cut(self._outline, can_render, "dali")
        self._device, self._hw_decoder_load = device, hw_decoder_load
        self._threads, self._depth = threads, depth
        self._works: Iterator[BatchPlan] = iter(())
        self._waiting: deque[BatchPlan] = deque()  # handed to the pipeline, not yet taken out
        self._pipeline: Any = self._built()

    def __len__(self) -> int:
        return len(self.planner)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See Loader.epoch. Beginning an epoch ends the one before."""
        self._rewind()
        works = self._works = self.planner.epoch(epoch, start)
        self._pipeline.schedule_run()
        while self._waiting:
            work, images = self._next()
            yield self.planner.batch(work, images, self._cut)
            assert self._works is works, "a dali loader was asked for two epochs at once"

    def close(self) -> None:
        """See Loader.close. Images given out stay valid."""
        self._works = iter(())
        self._waiting.clear()
        self._pipeline = None

    def _built(self) -> Pipeline:
        gpu = self._device.type == "cuda"
        index = torch.cuda.current_device() if gpu and self._device.index is None else self._device.index
        pipeline = Pipeline(
            batch_size=self.planner.batch_size,
            num_threads=self._threads,
            device_id=index if gpu else None,
            prefetch_queue_depth=self._depth,
        )
        with pipeline:
            device = "gpu" if gpu else "cpu"
            images = graph(self._outline, self._cut, device, self._source, self._hw_decoder_load)
            pipeline.set_outputs(images)
        pipeline.build()
        return pipeline

    def _source(self) -> tuple[np.ndarray, ...]:
        """The next batch's arrays, for DALI; it calls this on the thread that schedules a run."""
        work = next(self._works)
        arrays = arguments(work.program, self._outline, self._cut)
        paths = self.planner.manifest.paths(work.rows)
        self._waiting.append(work)
        return path_matrix(paths), *arrays

    def _next(self) -> tuple[BatchPlan, torch.Tensor]:
        """Take a batch out and set another going: ordered by the stream, without a wait or a copy."""
        work = self._waiting.popleft()
        try:
            (out,) = self._pipeline.share_outputs(cuda_stream=self._stream())
            images = from_dlpack(out.as_tensor())
            self._pipeline.release_outputs()
            self._pipeline.schedule_run()
        except RuntimeError as error:
            self.close()  # after an error DALI's pipeline is of no use; the next epoch builds another
            raise failure(self.planner.manifest.paths(work.rows), error) from error
        return work, images

    def _stream(self) -> torch.cuda.Stream | None:
        return torch.cuda.current_stream(self._device) if self._device.type == "cuda" else None

    def _rewind(self) -> None:
        """Bring the pipeline to its beginning, whatever the epoch before has left under way."""
        self._works = iter(())
        try:
            while self._waiting:
                self._waiting.popleft()
                self._pipeline.share_outputs()
                self._pipeline.release_outputs()
        except RuntimeError:  # a bad image in a batch that nobody asked for
            self.close()
        if self._pipeline is None:
            self._pipeline = self._built()
        else:
            self._pipeline.schedule_run()  # meets the end of the works, without which there is no reset
            self._pipeline.reset()


def failure(paths: list[str], error: RuntimeError) -> FastffdiError:
    """What to tell the user when DALI gave up on a batch of these images: the first bad one, if any."""
    for path in paths:
        try:
            decode_file(path)
        except UndecodableImage as bad:
            return bad
    for path in paths:
        if not _decodes(path):
            reason = "the dali loader does not know this kind of file, --loader cpu may"
            return UndecodableImage(path, reason)
    reason = str(error).partition("encountered:")[2] or str(error)
    return RunError(
        f"DALI failed on the {len(paths)} images from {paths[0]} to {paths[-1]} "
        f"({' '.join(reason.split())}); try --loader cpu"
    )


def _decodes(path: str) -> bool:
    """Whether DALI can decode a file on the CPU, where the state of a GPU does not blur the answer."""
    pipeline = Pipeline(batch_size=1, num_threads=1, device_id=None, prefetch_queue_depth=1)
    with pipeline:
        pipeline.set_outputs(graph(Program(()), 0, "cpu", lambda: (path_matrix([path]),)))
    try:
        pipeline.run()
    except RuntimeError:
        return False
    return True

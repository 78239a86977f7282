"""The dali loader: DALI decodes and renders, on a GPU or on the CPU, and torch takes over."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from nvidia.dali import Pipeline
from nvidia.dali.plugin.pytorch import feed_ndarray
from torch.utils.dlpack import from_dlpack

from fastffdi.errors import FastffdiError, RunError, UndecodableImage
from fastffdi.loaders.ahead import Planned, one_ahead, planned
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.planner import BatchPlan, BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.program import EMPTY, Program
from fastffdi.render.cpu.decode import decode_path
from fastffdi.render.dali import Arrays, Decoding, arguments, can_render, graph, path_matrix
from fastffdi.render.memory import Pool
from fastffdi.render.split import split


class _Part(NamedTuple):
    """Images of a batch that are in the pipeline together, and what the pipeline is given for them."""

    plan: BatchPlan
    remaining: Program
    paths: list[str]
    arrays: Arrays
    is_last: bool


class DaliLoader:
    """Decodes and renders in a DALI pipeline, a few batches ahead. One epoch at a time.

    Args:
        planner: the batches; DALI reads the files itself and decodes them whole
        settings: DALI's CPU threads; how many runs of the pipeline are in flight; and the hardware decoder's
            share
        device: where the images are to be: cpu, or a CUDA device
        at_once: images in a run of the pipeline, of which batches are put together. The decoded images of
            two runs stay in memory, the device's, on a CPU each in as much as the largest so far took. None:
            whole batches

    Raises SettingError for a planner whose images are not files, RecipeError for steps DALI cannot render.
    """

    def __init__(
        self,
        planner: BatchPlanner,
        settings: LoaderSettings,
        device: torch.device,
        at_once: int | None = None,
    ) -> None:
        planner.require_files("dali")
        self.planner = planner
        self._template = planner.template[1]
        self._split = split(self._template, can_render, "dali")
        self._settings, self._device = settings, device
        self._place = "gpu" if device.type == "cuda" else "cpu"
        self._at_once = at_once or planner.batch_size
        self._memory = Pool(spare=2)
        self._parts: Iterator[_Part] = iter(())
        self._in_flight: deque[_Part] = deque()  # given to the pipeline, not yet taken out
        self._pipeline: Any = self._built()

    def __len__(self) -> int:
        return len(self.planner)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See Backend.epoch. Starting an epoch ends the one before."""
        self._rewind()
        plans = planned(self.planner, self._split, epoch, start)
        self._parts = one_ahead(_divided(plans, self.planner, self._template, self._place, self._at_once))
        self._pipeline.schedule_run()
        return self._batches(self._parts)

    def _batches(self, parts: Iterator[_Part]) -> Iterator[Batch]:
        pieces: list[torch.Tensor] = []
        while self._in_flight:
            assert self._parts is parts, "a dali loader was asked for two epochs at once"
            part, images = self._next()
            pieces.append(images)
            if part.is_last:
                images, pieces = self._joined(pieces), []
                yield self.planner.batch(part.plan, images, part.remaining)

    def close(self) -> None:
        """See Backend.close. Images given out stay valid."""
        self._parts = iter(())
        self._in_flight.clear()
        self._pipeline = None

    def _built(self) -> Pipeline:
        gpu = self._device.type == "cuda"
        index = torch.cuda.current_device() if gpu and self._device.index is None else self._device.index
        pipeline = Pipeline(
            batch_size=self._at_once,
            num_threads=self._settings.threads,
            device_id=index if gpu else None,
            prefetch_queue_depth=max(1, self._settings.prefetch),
        )
        with pipeline:
            rendered, decoding = self._split.loader(self._template), decoding_of(self.planner, self._settings)
            pipeline.set_outputs(graph(rendered, self._place, _weak(self._source), decoding))
        pipeline.build()
        return pipeline

    def _joined(self, pieces: list[torch.Tensor]) -> torch.Tensor:
        if len(pieces) == 1:
            return pieces[0]
        shape = sum(len(piece) for piece in pieces), *pieces[0].shape[1:]
        return torch.cat(pieces, out=self._memory.empty(shape)) if self._place == "cpu" else torch.cat(pieces)

    def _source(self) -> Arrays:
        """The next run's arrays, for DALI; it calls this on the thread that schedules a run."""
        part = next(self._parts)
        self._in_flight.append(part)
        return part.arrays

    def _next(self) -> tuple[_Part, torch.Tensor]:
        """Take a run's images out and schedule another."""
        part = self._in_flight.popleft()
        try:
            images = taken_out(self._pipeline, self._device)
            self._pipeline.schedule_run()
        except RuntimeError as error:
            self.close()  # after an error DALI's pipeline is of no use; the next epoch builds another
            # Without its traceback, in which the pipeline would live on; see _weak.
            raise failure(part.paths, error) from error.with_traceback(None)
        return part, images

    def _rewind(self) -> None:
        """Reset the pipeline, whatever the epoch before has left in flight."""
        self._parts = iter(())
        try:
            while self._in_flight:
                self._in_flight.popleft()
                self._pipeline.share_outputs()
                self._pipeline.release_outputs()
        except RuntimeError:  # a bad image in a batch that nobody asked for
            self.close()
        if self._pipeline is None:
            self._pipeline = self._built()
        else:
            self._pipeline.schedule_run()  # meets the end of the parts, without which there is no reset
            self._pipeline.reset()


def _divided(
    plans: Iterator[Planned], planner: BatchPlanner, template: Program, place: str, at_once: int
) -> Iterator[_Part]:
    for plan, rendered, remaining in plans:
        whole = len(plan.rows) <= at_once
        for first in range(0, len(plan.rows), at_once):
            span = slice(first, first + at_once)
            arrays = arguments(rendered if whole else rendered.take(span), template, place)
            paths = planner.manifest.paths(plan.rows[span])
            is_last = span.stop >= len(plan.rows)
            yield _Part(plan, remaining, paths, (path_matrix(paths), *arrays), is_last)


def _weak(source: Callable[[], Arrays]) -> Callable[[], Arrays]:
    """A method of the loader as its pipeline may hold it: both are freed with the last name for the loader.

    Left to the garbage collector, the pipeline may be freed in a process that was forked meanwhile, which it
    does not survive.
    """
    method = weakref.WeakMethod(source)

    def called() -> Arrays:
        alive = method()
        assert alive is not None, "a loader outlives the runs that it schedules"
        return alive()

    return called


def taken_out(pipeline: Any, device: torch.device) -> torch.Tensor:
    """The images of the pipeline's oldest run: on the CPU as they are, on CUDA in memory of torch's.

    A copy on CUDA, on the current stream, on which torch's allocator lends the memory again when its last use
    has come; the host does not wait. DALI's own memory, passed on by DLPack, would be given back by a thread
    that calls cudaDeviceSynchronize, which is not allowed while a CUDA graph is captured.
    """
    stream = torch.cuda.current_stream(device) if device.type == "cuda" else None
    (out,) = pipeline.share_outputs(cuda_stream=stream)
    tensor = out.as_tensor()
    if stream is None:
        images = from_dlpack(tensor)
    else:
        images = torch.empty(tensor.shape(), dtype=torch.uint8, device=device)
        feed_ndarray(tensor, images, cuda_stream=stream)
    pipeline.release_outputs()
    return images


def decoding_of(planner: BatchPlanner, settings: LoaderSettings) -> Decoding:
    """How a GPU is to decode by the settings; where they have no size, that of the largest of the images."""
    height, width = settings.preallocate_height_hint, settings.preallocate_width_hint
    sizes = planner.manifest.sizes
    if height is None and sizes is not None and len(sizes):
        height, width = sizes.max(axis=0).tolist()
    return Decoding(
        settings.hw_decoder_load,
        settings.decoder_affinity,
        settings.jpeg_fancy_upsampling,
        None if height is None or width is None else (height, width),
    )


def failure(paths: list[str], error: RuntimeError) -> FastffdiError:
    """The error for the user when DALI has failed on a batch of these images: the first bad one, if any."""
    for path in paths:
        try:
            decode_path(path)
        except UndecodableImage as bad:
            return bad
    for path in paths:
        if not _decodes(path):
            reason = "the dali loader does not know this kind of file, --loader cpu may"
            return UndecodableImage(path, reason)
    reason = str(error).partition("encountered:")[2] or str(error)
    return RunError(
        f"DALI failed on the {len(paths)} images from {paths[0]} to {paths[-1]} "
        f"({' '.join(reason.split())}); choose --loader cpu"
    )


def _decodes(path: str) -> bool:
    """Whether DALI can decode a file on the CPU, where the state of a GPU does not blur the answer."""
    pipeline = Pipeline(batch_size=1, num_threads=1, device_id=None, prefetch_queue_depth=1)
    with pipeline:
        pipeline.set_outputs(graph(EMPTY, "cpu", lambda: (path_matrix([path]),)))
    try:
        pipeline.run()
    except RuntimeError:
        return False
    return True

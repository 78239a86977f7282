"""The dali loader: DALI decodes and renders, on a GPU or on the CPU, and torch takes over."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import torch
from nvidia.dali import Pipeline
from nvidia.dali.plugin.pytorch import feed_ndarray
from torch.utils.dlpack import from_dlpack

from fastffdi.loaders.admission import Admission
from fastffdi.loaders.ahead import one_ahead, planned
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.corrupt import Corrupt
from fastffdi.loaders.dali_parts import Part, divided, failure, mended
from fastffdi.loaders.placeholder import GREY
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.lowering import output_size
from fastffdi.render.cpu.decode import SourceDecoder
from fastffdi.render.dali import Arrays, Decoding, can_render, graph
from fastffdi.render.memory import Pool
from fastffdi.render.split import split


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
        assert isinstance(planner.decoder, SourceDecoder), "require_files has seen to that"
        self._admission = Admission(
            planner.decoder, len(planner.manifest), settings.threads, settings.read_timeout
        )
        self._template = planner.template[1]
        self._split = split(self._template, can_render, "dali")
        self._settings, self._device = settings, device
        self._place = "gpu" if device.type == "cuda" else "cpu"
        self._at_once = at_once or planner.largest
        self._memory = Pool(spare=2)
        self._parts: Iterator[Part] = iter(())
        self._again: deque[Part] = deque()  # to be given to the pipeline before the others
        self._in_flight: deque[Part] = deque()  # given to the pipeline, not yet taken out
        self._pipeline: Any = self._built()

    def __len__(self) -> int:
        return len(self.planner)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See Backend.epoch. Starting an epoch ends the one before."""
        self._rewind()
        plans = planned(self.planner, self._split, epoch, start)
        self._parts = one_ahead(
            divided(plans, self.planner, self._admission, self._template, self._place, self._at_once)
        )
        self._pipeline.schedule_run()
        return self._batches(self._parts)

    def _batches(self, parts: Iterator[Part]) -> Iterator[Batch]:
        pieces: list[torch.Tensor] = []
        corrupt: list[Corrupt] = []
        while self._in_flight:
            assert self._parts is parts, "a dali loader was asked for two epochs at once"
            part, images = self._next()
            pieces.append(images)
            corrupt += part.in_batch
            if part.is_last:
                images, pieces, failed, corrupt = self._joined(pieces), [], corrupt, []
                yield self.planner.batch(part.plan, images, part.remaining, failed)

    def close(self) -> None:
        """See Backend.close. Images given out stay valid."""
        self._forget()
        self._admission.close()

    def _forget(self) -> None:
        """Drop the pipeline and all that is in it; the next epoch builds another."""
        self._parts = iter(())
        self._again.clear()
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
        while True:
            part = self._again.popleft() if self._again else next(self._parts)
            self._in_flight.append(part)
            if not part.is_blank:
                return part.arrays

    def _next(self) -> tuple[Part, torch.Tensor]:
        """Take a run's images out and schedule another."""
        part = self._in_flight.popleft()
        if part.corrupt and not self.planner.skip_corrupt:
            self._forget()
            raise part.corrupt[0].error
        if part.is_blank:
            return part, self._blank(part)
        try:
            images = taken_out(self._pipeline, self._device)
            self._pipeline.schedule_run()
        except RuntimeError as error:
            # Without its traceback, in which the pipeline would live on; see _weak.
            self._recover(part, error.with_traceback(None))
            return self._next()
        part.patch(images)
        return part, images

    def _blank(self, part: Part) -> torch.Tensor:
        shape = len(part.paths), *output_size(self._split.loader(self._template)), 3
        images = torch.full(shape, GREY, dtype=torch.uint8, device=self._device)
        part.patch(images)
        return images

    def _recover(self, part: Part, error: RuntimeError) -> None:
        """Go on with another pipeline, and with the part without the images that DALI fails on."""
        better = mended(part, self._admission)
        if better is None:
            self._forget()
            raise failure(part.paths, error) from error
        self._again = deque([better, *self._in_flight, *self._again])
        self._in_flight.clear()
        self._pipeline = self._built()
        self._pipeline.schedule_run()

    def _rewind(self) -> None:
        """Reset the pipeline, whatever the epoch before has left in flight."""
        self._parts = iter(())
        self._again.clear()
        try:
            while self._in_flight:
                if not self._in_flight.popleft().is_blank:
                    self._pipeline.share_outputs()
                    self._pipeline.release_outputs()
        except RuntimeError:  # a bad image in a batch that nobody asked for
            self._forget()
        if self._pipeline is None:
            self._pipeline = self._built()
        else:
            self._pipeline.schedule_run()  # meets the end of the parts, without which there is no reset
            self._pipeline.reset()


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

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
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.program import EMPTY
from fastffdi.render.cpu.decode import decode_path
from fastffdi.render.dali import arguments, can_render, graph, path_matrix
from fastffdi.render.split import split


class DaliLoader:
    """Decodes and renders in a DALI pipeline, a few batches ahead. One epoch at a time.

    Args:
        planner: the batches; DALI reads the files itself and decodes them whole
        settings: DALI's CPU threads; how many batches are in flight, each of which holds its decoded images
            in memory; and the hardware decoder's share
        device: where the images are to be: cpu, or a CUDA device

    Raises SettingError for a planner whose images are not files, RecipeError for steps DALI cannot render.
    """

    def __init__(self, planner: BatchPlanner, settings: LoaderSettings, device: torch.device) -> None:
        planner.require_files("dali")
        self.planner = planner
        self._template = planner.template[1]
        self._split = split(self._template, can_render, "dali")
        self._settings, self._device = settings, device
        self._place = "gpu" if device.type == "cuda" else "cpu"
        self._plans: Iterator[BatchPlan] = iter(())
        self._in_flight: deque[BatchPlan] = deque()  # given to the pipeline, not yet taken out
        self._pipeline: Any = self._built()

    def __len__(self) -> int:
        return len(self.planner)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See Backend.epoch. Starting an epoch ends the one before."""
        self._rewind()
        plans = self._plans = self.planner.epoch(epoch, start)
        self._pipeline.schedule_run()
        while self._in_flight:
            plan, images = self._next()
            yield self.planner.batch(plan, images, self._split.remaining(plan.program))
            assert self._plans is plans, "a dali loader was asked for two epochs at once"

    def close(self) -> None:
        """See Backend.close. Images given out stay valid."""
        self._plans = iter(())
        self._in_flight.clear()
        self._pipeline = None

    def _built(self) -> Pipeline:
        gpu = self._device.type == "cuda"
        index = torch.cuda.current_device() if gpu and self._device.index is None else self._device.index
        pipeline = Pipeline(
            batch_size=self.planner.batch_size,
            num_threads=self._settings.threads,
            device_id=index if gpu else None,
            prefetch_queue_depth=max(1, self._settings.prefetch),
        )
        with pipeline:
            rendered, share = self._split.loader(self._template), self._settings.hw_decoder_load
            pipeline.set_outputs(graph(rendered, self._place, self._source, share))
        pipeline.build()
        return pipeline

    def _source(self) -> tuple[np.ndarray, ...]:
        """The next batch's arrays, for DALI; it calls this on the thread that schedules a run."""
        plan = next(self._plans)
        arrays = arguments(self._split.loader(plan.program), self._template, self._place)
        paths = self.planner.manifest.paths(plan.rows)
        self._in_flight.append(plan)
        return path_matrix(paths), *arrays

    def _next(self) -> tuple[BatchPlan, torch.Tensor]:
        """Take a batch out and schedule another: ordered by the stream, without a wait or a copy."""
        plan = self._in_flight.popleft()
        try:
            (out,) = self._pipeline.share_outputs(cuda_stream=self._stream())
            images = from_dlpack(out.as_tensor())
            self._pipeline.release_outputs()
            self._pipeline.schedule_run()
        except RuntimeError as error:
            self.close()  # after an error DALI's pipeline is of no use; the next epoch builds another
            raise failure(self.planner.manifest.paths(plan.rows), error) from error
        return plan, images

    def _stream(self) -> torch.cuda.Stream | None:
        return torch.cuda.current_stream(self._device) if self._device.type == "cuda" else None

    def _rewind(self) -> None:
        """Reset the pipeline, whatever the epoch before has left in flight."""
        self._plans = iter(())
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
            self._pipeline.schedule_run()  # meets the end of the plans, without which there is no reset
            self._pipeline.reset()


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

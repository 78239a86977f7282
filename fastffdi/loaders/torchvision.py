"""The torchvision loader, the baseline: torch's DataLoader, Pillow and torchvision, as a tutorial writes it.

Rows come from the sampler, so that all loaders give the same images; random numbers do not come from the
CounterRNG. It does not mix images.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from multiprocessing.process import BaseProcess
from multiprocessing.util import get_temp_dir
from typing import Any

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, default_collate

from fastffdi.data.headers import reason_of
from fastffdi.data.limits import Limits
from fastffdi.data.manifest import Manifest
from fastffdi.data.pillow import rgb_image
from fastffdi.data.retry import retried
from fastffdi.data.source import FILES
from fastffdi.errors import RunError, Stalled, UndecodableImage
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.corrupt import Corrupt
from fastffdi.loaders.planner import BatchPlan, BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.loaders.torchvision_transforms import composed
from fastffdi.loaders.worker_deaths import DEATHS
from fastffdi.loaders.worker_waits import PatientQueue, RowsBegun
from fastffdi.recipe.lowering import output_size
from fastffdi.recipe.program import EMPTY
from fastffdi.render.cpu.decode import SourceDecoder

#: What workers are given to end in.
GRACE_SECONDS = 1.0


class TorchvisionLoader:
    """Decodes and renders whole batches in worker processes. One epoch at a time.

    Args:
        planner: the batches; the random numbers of its programs are not used
        settings: how many worker processes; the DataLoader has its own number of batches ahead
        device: where the model is; for CUDA the images are given in page-locked memory

    Images are (N, H, W, 3) float32, normalised: a view of the (N, 3, H, W) tensor the DataLoader gives.
    Raises RecipeError for a step that torchvision has no transform for, SettingError for a planner whose
    images are not files.
    """

    def __init__(self, planner: BatchPlanner, settings: LoaderSettings, device: torch.device) -> None:
        planner.require_files("torchvision")
        self.planner = planner
        self._batches = _Batches(planner)
        self._begun, self._seconds = RowsBegun(settings.threads), settings.read_timeout
        with _without_advice():
            self._loader = DataLoader(
                _Images(planner.manifest, composed(planner.steps), _limits(planner), self._begun),
                batch_sampler=self._batches,
                num_workers=settings.threads,
                collate_fn=_collated,
                pin_memory=device.type == "cuda",
                persistent_workers=True,
                worker_init_fn=_without_signals,
            )

    def __len__(self) -> int:
        return len(self.planner)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See Backend.epoch. Starting an epoch ends the one before."""
        self._batches.start(epoch, start)
        if "nvidia.dali.pipeline" in sys.modules:
            gc.collect()  # a DALI pipeline that a forked worker's garbage collector finds makes it crash
        get_temp_dir()  # that of the workers too: one that is killed leaves none behind
        with _without_advice(), self._told(chain.from_iterable(self._batches)):
            rendered = self._patient(iter(self._loader))
        DEATHS.watch()
        return self._given(rendered, self.planner.epoch(epoch, start))

    def _patient(self, rendered: Any) -> Iterator[_Given]:
        """The DataLoader's iterator, whose waits have an end; all epochs have the same one."""
        if not isinstance(rendered._data_queue, PatientQueue):
            begun, path = self._begun, partial(_path, self.planner.manifest)
            rendered._data_queue = PatientQueue(rendered._data_queue, begun, self._seconds, path)
        iterator: Iterator[_Given] = rendered
        return iterator

    def _given(self, rendered: Iterator[Any], plans: Iterator[BatchPlan]) -> Iterator[Batch]:
        for plan in plans:
            images, corrupt = self._next(rendered, plan)
            if corrupt and not self.planner.skip_corrupt:
                raise corrupt[0].error
            if images is None:
                images = torch.zeros(len(plan.rows), 3, *output_size(self.planner.template[1]))
            yield self.planner.batch(plan, images.permute(0, 2, 3, 1), EMPTY, corrupt)

    def _next(self, rendered: Iterator[_Given], plan: BatchPlan) -> _Given:
        with self._told(plan.rows), DEATHS.raised():
            return next(rendered)

    @contextmanager
    def _told(self, rows: Iterable[int]) -> Iterator[None]:
        """Whatever torch raises at a batch that begins with the first of these rows, as RunError."""
        try:
            yield
        except (StopIteration, Stalled):
            raise
        except Exception as error:  # as a transform raises it, with the worker's traceback in its message
            first, traceback, rest = str(error).partition("Original Traceback")
            reason = " ".join((rest.strip().rpartition("\n")[2] if traceback else first).split())
            paths = (_path(self.planner.manifest, row) for row in rows)
            raise RunError(
                f"--loader torchvision: a worker process failed ({reason.rstrip('. ')}) at the batch that "
                f"begins with {next(paths, 'nothing')} or soon after"
            ) from error

    def close(self) -> None:
        """See Backend.close."""
        # The DataLoader has no close of its own; left to the garbage collector, workers outlive their use.
        iterator: Any = self._loader._iterator
        self._loader._iterator = None
        if iterator is not None:
            # torch waits five seconds for each, and then for ever.
            late = threading.Timer(GRACE_SECONDS, _kill, (iterator._workers,))
            late.start()
            iterator._shutdown_workers()
            late.cancel()


def _kill(workers: Sequence[BaseProcess]) -> None:
    for worker in workers:
        worker.kill()


def _without_signals(worker: int) -> None:
    """Signals may reach all of a group, and the parent decides what they mean."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class _Images(Dataset[Any]):
    """Rows of a manifest, opened with Pillow and transformed."""

    def __init__(
        self,
        manifest: Manifest,
        transform: Callable[[Image.Image], torch.Tensor],
        limits: Limits,
        begun: RowsBegun,
    ) -> None:
        self.manifest, self.transform, self.limits, self.begun = manifest, transform, limits, begun

    def __getitems__(self, rows: list[int]) -> list[torch.Tensor | UndecodableImage]:
        images = [self[row] for row in rows]
        self.begun.end()
        return images

    def __getitem__(self, row: int) -> torch.Tensor | UndecodableImage:
        self.begun.begin(row)
        path = _path(self.manifest, row)
        try:
            image = _opened(path, self.limits)
        except UndecodableImage as error:
            return error  # raised here, the DataLoader would wrap it in its worker's traceback
        return self.transform(image)


class _Batches:
    """The batch sampler: the rows of one epoch's batches, from batch number `start` on."""

    def __init__(self, planner: BatchPlanner) -> None:
        self.planner = planner
        self.start(0, 0)

    def start(self, epoch: int, start: int) -> None:
        self._epoch, self._start = epoch, start

    def __iter__(self) -> Iterator[list[int]]:
        return (rows.tolist() for rows, _ in self.planner.order(self._epoch, self._start))


def _path(manifest: Manifest, row: int) -> str:
    (path,) = manifest.paths(slice(row, row + 1))
    return path


def _limits(planner: BatchPlanner) -> Limits:
    assert isinstance(planner.decoder, SourceDecoder), "require_files has seen to that"
    return planner.decoder.limits


def _opened(path: str, limits: Limits) -> Image.Image:
    try:
        limits.check_bytes(FILES.identity(path).size_bytes)
        return retried(path, partial(_decoded, path, limits))
    except UndecodableImage:
        raise
    except Exception as error:  # Pillow's plugins raise whatever they like
        raise UndecodableImage(path, reason_of(error)) from None


def _decoded(path: str, limits: Limits) -> Image.Image:
    with FILES.open(path) as file:
        return rgb_image(file, limits)


#: Images (N, 3, H, W), None where there is no valid one, and which of them are corrupt.
_Given = tuple[torch.Tensor | None, list[Corrupt]]


def _collated(images: list[torch.Tensor | UndecodableImage]) -> _Given:
    corrupt = [
        Corrupt(place, image) for place, image in enumerate(images) if isinstance(image, UndecodableImage)
    ]
    valid = [image for image in images if isinstance(image, torch.Tensor)]
    if not valid:
        return None, corrupt
    whole = default_collate([valid[0] if isinstance(image, UndecodableImage) else image for image in images])
    return whole, corrupt


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence on what is on purpose: as many workers as were asked for, forked as torch has it by default."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        yield

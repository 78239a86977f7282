"""One try of a loader's settings: how fast it is with them, and how much memory it takes."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace

import torch

from fastffdi.bench.processes import memory_mib
from fastffdi.bench.stopwatch import timed_pass
from fastffdi.bench.stream import arrivals, endless
from fastffdi.errors import RunError, UndecodableImage
from fastffdi.loaders import factory
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.render.device.stage import DeviceStage

#: Images in an epoch, at least, so that hardly a turn meets an epoch's end.
EPOCH = 100_000


@dataclass(frozen=True)
class Choice:
    """A value for every setting; see LoaderSettings. `batch_size` is images per batch."""

    threads: int
    batch_size: int
    prefetch: int = LoaderSettings.prefetch
    hw_decoder_load: float | None = None

    def described(self, without: str = "") -> str:
        """The values in words, all that are set or all but one."""
        values = {
            name: value for name, value in asdict(self).items() if value is not None and name != without
        }
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())

    def settings(self) -> LoaderSettings:
        """As the loader takes them."""
        return LoaderSettings(self.threads, self.prefetch, hw_decoder_load=self.hw_decoder_load)


@dataclass(frozen=True)
class Task:
    """What settings are tried for, and how.

    feed        the images and what is made of them
    loader      dali, cpu or torchvision
    dtype       of the normalised batch on the device
    threads     the most to try
    batch_size  None: to be found as well
    cap_gib     memory that a loader may take
    seconds     shortest time counted in a turn
    repeats     turns of each choice
    """

    planner: BatchPlanner
    loader: str
    device: torch.device
    dtype: torch.dtype
    threads: int
    batch_size: int | None = None
    cap_gib: float = math.inf
    seconds: float = 1.0
    repeats: int = 5


@dataclass
class Trial:
    """A choice and what was measured with it.

    rates    images/s of each turn
    gib      memory that it takes: as estimated, or what a turn added where that is more; a turn may add less,
             where what trials before have left behind serves
    problem  why the choice is out of question
    """

    choice: Choice
    rates: list[float] = field(default_factory=list)
    gib: float = 0.0
    problem: str | None = None

    @property
    def rate(self) -> float:
        """Images/s: median of the turns."""
        return statistics.median(self.rates)

    def turn(self, task: Task, pause_seconds: float = 0.0) -> None:
        """Run a loader for one turn, for a consumer that takes `pause_seconds` over each batch.

        Raises UndecodableImage; any other failure of the loader is the choice's problem.
        """
        try:
            self._run(task, pause_seconds)
        except UndecodableImage:
            raise
        except (RunError, MemoryError, torch.OutOfMemoryError) as error:
            self.problem = " ".join(str(error).split()) or type(error).__name__
        if self.gib > task.cap_gib:
            self.problem = f"takes {self.gib:.2f} GiB, more than the cap of {task.cap_gib:.2f}"

    def _run(self, task: Task, pause_seconds: float) -> None:
        planner = endless(replace(task.planner, batch_size=self.choice.batch_size), EPOCH)
        stage, settings = DeviceStage(task.device, task.dtype), self.choice.settings()
        ahead, group = _ahead(task.loader, settings)
        before = memory_mib()
        with (
            closing(factory.build_loader(task.loader, planner, settings, task.device)) as loader,
            closing(paced(arrivals(loader, stage), pause_seconds)) as stream,
        ):
            self.rates.append(timed_pass(stream, task.seconds, ahead, group).rate)
            now = memory_mib()
        if now is not None and before is not None:
            self.gib = max(self.gib, (now - before) / 1024)


def _ahead(loader: str, settings: LoaderSettings) -> tuple[int, int]:
    """Batches that may lie ready when counting begins, and how many come in one burst."""
    if loader == "torchvision":  # two batches are made ahead for each worker
        return 2 * settings.threads + 2, settings.threads
    return settings.prefetch + 2, 1


def paced(stream: Generator[int, None, None], seconds: float) -> Generator[int, None, None]:
    """The stream for a consumer that does something else for so long before it takes the next batch."""
    with closing(stream):
        for images in stream:
            yield images
            if seconds:
                time.sleep(seconds)

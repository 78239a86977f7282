"""A read that never ends, and the end of who reads: in every loader an error that names the file."""

import itertools
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch
from recipes import NORMALIZE
from stuck import RELEASED, Stuck

from fastffdi.data.manifest import Manifest
from fastffdi.errors import RunError, Stalled
from fastffdi.loaders import torchvision
from fastffdi.loaders.batch import Backend
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.dali import DaliLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.loaders.torchvision import TorchvisionLoader
from fastffdi.recipe.steps import STEPS
from fastffdi.render.cpu.decode import SourceDecoder

CPU, SETTINGS = torch.device("cpu"), LoaderSettings(2, 6, 1, read_timeout=1.0)
LOADERS = {
    "cpu": lambda planner: CpuLoader(planner, SETTINGS),
    "process": lambda planner: ProcessLoader(planner, SETTINGS, CPU),
    "dali": lambda planner: DaliLoader(planner, SETTINGS, CPU),
    "torchvision": lambda planner: TorchvisionLoader(planner, SETTINGS, CPU),
}
ALL = pytest.mark.parametrize("loader", LOADERS)


@pytest.fixture(autouse=True)
def _released() -> Iterator[None]:
    """Reads that never end, end with the test."""
    RELEASED.clear()
    yield
    RELEASED.set()


def backend(loader: str, planner: BatchPlanner, victim: int, ends: bool = False) -> tuple[Backend, str]:
    """The loader over images of which one never comes, and that one's path."""
    (path,) = planner.manifest.paths(np.array([victim]))
    source = Stuck(path, ends)
    stuck = replace(planner, decoder=SourceDecoder(source))
    if loader == "torchvision":  # it has the one source
        torchvision.FILES = source
    return LOADERS[loader](stuck), path


@pytest.fixture
def planner(image_files: Manifest, monkeypatch: pytest.MonkeyPatch) -> BatchPlanner:
    monkeypatch.setattr(torchvision, "FILES", torchvision.FILES)
    steps = (STEPS["resize"]((40, 48)), NORMALIZE)
    return BatchPlanner.over(image_files, steps, SETTINGS, skip_corrupt=True)


@ALL
def test_a_read_that_never_ends_is_an_error_that_names_the_file(loader: str, planner: BatchPlanner) -> None:
    built, path = backend(loader, planner, 9)
    with closing(built):
        with pytest.raises(Stalled) as caught:
            list(built.epoch(0))
        assert (caught.value.path, caught.value.seconds) == (path, 1.0)
        began = time.monotonic()
    assert time.monotonic() - began < 50


def test_a_loader_that_has_stalled_says_so_again(planner: BatchPlanner) -> None:
    built, path = backend("cpu", planner, 9)
    with closing(built):
        for _ in range(2):
            with pytest.raises(Stalled, match=path):
                list(built.epoch(0))


def test_who_leaves_a_loader_that_stalls_waits_no_longer_than_that(planner: BatchPlanner) -> None:
    built, _ = backend("cpu", planner, 9)
    began = time.monotonic()
    with closing(built):
        batches = built.epoch(0)
        assert next(batches).rows[0] == 0
        batches.close()
    assert time.monotonic() - began < 50


@pytest.mark.parametrize("loader", ["cpu", pytest.param("process", marks=pytest.mark.slow), "dali"])
def test_the_end_of_a_thread_surfaces_soon_with_the_files_name(loader: str, planner: BatchPlanner) -> None:
    built, path = backend(loader, planner, 9, ends=True)
    with closing(built):
        batches = list(itertools.islice(built.epoch(0), int(loader == "process")))  # which has to start
        began = time.monotonic()
        with pytest.raises(RunError, match=f"{path}: its thread was ended by SystemExit"):
            list(built.epoch(0, len(batches)))
        assert time.monotonic() - began < 30


def test_sizes_that_never_come_are_an_error(image_files: Manifest) -> None:
    (path,) = image_files.paths(np.array([9]))
    unknown = replace(image_files, sizes=None)
    steps = (STEPS["random_resized_crop"]((40, 48)), NORMALIZE)
    with pytest.raises(Stalled, match=f"{path}: not read within 1 s"):
        BatchPlanner.over(unknown, steps, SETTINGS, decoder=SourceDecoder(Stuck(path)), skip_corrupt=True)

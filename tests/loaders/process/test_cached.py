"""Cached images on their way to a GPU: out of the store in the child process, the rest on the device."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recipes import NORMALIZE, step

from fastffdi.cache.decoder import fill
from fastffdi.data.manifest import Manifest
from fastffdi.loaders import factory
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.process import loader as process
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.process.ring import Ring
from fastffdi.loaders.process.transfer import ToCpu
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.kernels import Flip, Matrix, Warp
from fastffdi.render.device.stage import DeviceStage

pytestmark = pytest.mark.usefixtures("one_thread")

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SETTINGS = LoaderSettings(2, 5)
RESIZE = step("resize", size=[24, 32])
RANDOM = (
    step("horizontal_flip"),
    step("random_rotation", degrees=25),
    step("color_jitter", brightness=0.4, hue=0.2),
)
Planners = tuple[BatchPlanner, BatchPlanner]


def planner_of(manifest: Manifest, *steps) -> BatchPlanner:
    return BatchPlanner.over(manifest, (*steps, NORMALIZE), SETTINGS, seed=7, shuffle=True)


@pytest.fixture
def planners(image_files: Manifest, tmp_path: Path) -> Planners:
    """The batches with their images from files, and from a full cache whose files are no images any more."""
    shutil.copytree(image_files.root, tmp_path / "spoilt")
    spoilt = planner_of(replace(image_files, root=str(tmp_path / "spoilt")), RESIZE, *RANDOM)
    plan = spoilt.cache_plan(tmp_path / "cache")
    fill(plan.open(), plan.manifest, plan.prefix, 2, lambda images: None)
    for path in map(Path, spoilt.manifest.paths()):
        before = path.stat()
        path.write_bytes(bytes(before.st_size))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return planner_of(image_files, RESIZE, *RANDOM), spoilt.cached(plan)


@pytest.fixture
def for_cuda(planners: Planners, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessLoader]:
    """What `--loader auto --cache` is beside CUDA; its copies stay on the host."""
    monkeypatch.setattr(process, "copying", lambda device: {CUDA: ToCpu()}[device])
    monkeypatch.setattr(Ring, "page_lock", lambda ring: None)
    name = factory.choose_loader("auto", CUDA, cache=True)
    with closing(factory.build_loader(name, planners[1], SETTINGS, CUDA)) as loader:
        assert type(loader) is ProcessLoader
        yield loader


def test_beside_cuda_the_child_gives_what_is_stored_and_the_device_renders_the_rest(
    planners: Planners, for_cuda: ProcessLoader
) -> None:
    stage, resized = DeviceStage(CPU, torch.float32), planner_of(planners[0].manifest, RESIZE)
    with (
        closing(CpuLoader(resized, SETTINGS)) as stored,
        closing(CpuLoader(planners[0], SETTINGS, beyond=False)) as uncached,
    ):
        epochs = [loader.epoch(2) for loader in (for_cuda, stored, uncached)]
        for ours, images, theirs in zip(*epochs, strict=True):
            assert np.array_equal(ours.rows, theirs.rows)
            assert torch.equal(ours.images, images.images)
            assert list(map(type, ours.remaining.kernels)) == [Flip, Warp, Matrix]
            assert torch.equal(stage(ours), stage(theirs))


def test_on_a_cpu_the_child_renders_cached_images_to_the_bits_of_files(planners: Planners) -> None:
    asked = replace(SETTINGS, process=True)
    with (
        closing(factory.build_loader("cpu", planners[1], asked, CPU)) as cached,
        closing(CpuLoader(planners[0], SETTINGS)) as uncached,
    ):
        assert type(cached) is ProcessLoader
        for epoch in (0, 3):
            batches = list(zip(cached.epoch(epoch), uncached.epoch(epoch), strict=True))
            assert len(batches) == 5
            for ours, theirs in batches:
                assert ours.remaining.kernels == ()
                assert np.array_equal(ours.rows, theirs.rows)
                assert torch.equal(ours.images, theirs.images)

"""Planners for tests whose images are kept in a cache, and the images they give."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from recipes import NORMALIZE

from fastffdi.cache.decoder import fill
from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner, cached
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step

RESIZE, FLIP = STEPS["resize"]((24, 32)), STEPS["horizontal_flip"]()
CROP, RRC = STEPS["center_crop"]((50, 40)), STEPS["random_resized_crop"]((24, 32))
PLAIN, ANY_SIZE = (RESIZE, FLIP, NORMALIZE), (RRC, FLIP, NORMALIZE)
SIZED = (STEPS["resize"](40), STEPS["center_crop"]((32, 36)), FLIP, NORMALIZE)


def planner_of(image_files: Manifest, steps: tuple[Step, ...], batch_size: int = 5, **more) -> BatchPlanner:
    return BatchPlanner(image_files, Sampler(len(image_files), 5), CounterRNG(5), steps, batch_size, **more)


def through(planner: BatchPlanner, folder: Path) -> BatchPlanner:
    (found,) = cached([planner], folder)
    return found


def filled(planner: BatchPlanner, folder: Path, threads: int, progress: Callable = lambda rows: None) -> int:
    """How many images of a planner do not fit into its store in `folder`, which is filled."""
    plan = planner.cache_plan(folder)
    return fill(plan.open(), plan.manifest, plan.prefix, threads, progress)


def images(planner: BatchPlanner, epoch: int = 0) -> dict[int, bytes]:
    """Each row's images as the cpu loader gives them."""
    found = {}
    with closing(CpuLoader(planner, LoaderSettings(2))) as loader:
        for batch in loader.epoch(epoch):
            views = batch.images.numpy().reshape(len(batch), -1)
            found.update(zip(batch.rows.tolist(), map(bytes, views), strict=True))
    return found

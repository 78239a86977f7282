"""What same_pixels.py asks of the package, under the names that a tree has for it."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Generator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

SEED, BATCH, THREADS, MODEL = 0, 8, 2, "test_efficientnet"

#: What a recipe's `backbone` stands for: size, mean, std.
BACKBONE = ((256, 256), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

Arrays = dict[str, np.ndarray]

CPU = torch.device("cpu")


class Package(Protocol):
    """The package in a tree, asked for what it makes of the images in a folder."""

    def recipes(self) -> list[str]:
        """The names of the shipped recipes."""

    def batches(
        self, recipe: str, part: str, loader: str, epoch: int, cache: Path | None = None, **how: bool
    ) -> Generator[Arrays, None, None]:
        """Images, labels, rows, repeats as the loader gives them; nothing where it cannot render the recipe.

        part   train or eval
        cache  a folder that is filled first, and then serves the images
        how    balance, scaled: as a training run and the recipe's decode block have them
        """

    def finished(self, recipe: str, part: str) -> Arrays:
        """The first batch as float32, of which the loader has rendered no more than it must: `normalised`.

        For train also `mixed`, with `partners` (their labels) and `shares`: as the recipe mixes, or else by
        MixUp 0.2 and CutMix 1.0.
        """

    def scores(self, recipe: str, model: torch.nn.Module, file: Path) -> np.ndarray:
        """The scores of all images by a model, which is timm's MODEL, by way of a checkpoint in `file`."""


class RemainingPrograms:
    """Trees in which a batch carries its remaining program."""

    def __init__(self, folder: Path, names: np.ndarray, labels: np.ndarray) -> None:
        from fastffdi.data.manifest import Manifest

        self._manifest = Manifest(str(folder), names, labels)

    def recipes(self) -> list[str]:
        from fastffdi.recipe.recipe import shipped

        return shipped()

    def batches(
        self, recipe: str, part: str, loader: str, epoch: int, cache: Path | None = None, **how: bool
    ) -> Generator[Arrays, None, None]:
        from fastffdi.cache.decoder import fill
        from fastffdi.errors import RecipeError
        from fastffdi.loaders.factory import build_loader

        planner = self._planner(recipe, part, **how)
        if cache is not None:
            plan = planner.cache_plan(cache)
            fill(plan.open(), plan.manifest, plan.prefix, THREADS, lambda done: None)
            planner = planner.cached(plan)
        try:
            built = build_loader(loader, planner, self._settings(), CPU)
        except RecipeError:
            return
        with contextlib.closing(built):
            for batch in built.epoch(epoch):
                images = batch.images.numpy().copy()
                yield {"images": images, "labels": batch.labels, "rows": batch.rows, "repeats": batch.repeats}

    def finished(self, recipe: str, part: str) -> Arrays:
        from fastffdi.loaders.cpu import CpuLoader
        from fastffdi.recipe.mix import Mix
        from fastffdi.recipe.recipe import load
        from fastffdi.recipe.rng import CounterRNG
        from fastffdi.render.device.stage import DeviceStage
        from fastffdi.training.mix import Mixer

        planner = self._planner(recipe, part)
        with contextlib.closing(CpuLoader(planner, self._settings(), beyond=False)) as loader:
            batch = next(loader.epoch(0))
        images = DeviceStage(CPU, torch.float32)(batch)
        tensors = {"normalised": images}
        if part == "train":
            mixer = Mixer(load(recipe).mix or Mix(mixup=0.2, cutmix=1.0), CounterRNG(SEED))
            labels = torch.from_numpy(batch.labels).repeat_interleave(batch.views)
            tensors |= zip(("mixed", "partners", "shares"), mixer(images, labels, batch), strict=True)
        return {kind: tensor.numpy() for kind, tensor in tensors.items()}

    def scores(self, recipe: str, model: torch.nn.Module, file: Path) -> np.ndarray:
        from fastffdi.inference.predict import restore
        from fastffdi.model.checkpoint import Checkpoint, save
        from fastffdi.recipe.recipe import load

        data, epoch = load(recipe).resolve(*BACKBONE).to_data(), 0
        save(Checkpoint(MODEL, data, *BACKBONE, epoch, SEED), model, file)
        return restore(file, "cpu", "cpu", "off", self._settings())(self._manifest)

    def _settings(self) -> Any:
        from fastffdi.loaders.settings import LoaderSettings

        return LoaderSettings(threads=THREADS, batch_size=BATCH)

    def _planner(self, recipe: str, part: str, balance: bool = False, scaled: bool = False) -> Any:
        from fastffdi.loaders.planner import BatchPlanner
        from fastffdi.recipe.recipe import load
        from fastffdi.render.cpu.decode import SourceDecoder

        steps, train = getattr(load(recipe).resolve(*BACKBONE), part), part == "train"
        return BatchPlanner.over(
            self._manifest,
            steps,
            self._settings(),
            seed=SEED,
            shuffle=train,
            balance=balance,
            decoder=SourceDecoder(scaled=scaled),
        )


class CountedKernels:
    """Trees in which a batch counts the kernels that have been applied; before `loaders.planner`."""

    def __init__(self, folder: Path, names: np.ndarray, labels: np.ndarray) -> None:
        from fastffdi.data.manifest import Manifest

        self._manifest = Manifest(str(folder), names, labels)

    def recipes(self) -> list[str]:
        from fastffdi.recipe.recipe import shipped

        return shipped()

    def batches(
        self, recipe: str, part: str, loader: str, epoch: int, cache: Path | None = None, **how: bool
    ) -> Generator[Arrays, None, None]:
        from fastffdi.errors import RecipeError
        from fastffdi.loaders import cache_plan, cached, choose, settings

        feed = self._feed(recipe, part, **how)
        if cache is not None:
            (feed,) = cache_plan.cached([feed], cache, THREADS)
            cached.fill(feed, THREADS, lambda done: None)
        try:
            built = choose.build(loader, feed, settings.LoaderSettings(THREADS), torch.device("cpu"))
        except RecipeError:
            return
        with contextlib.closing(built):
            for batch in built.epoch(epoch):
                images = batch.images.numpy().copy()
                yield {"images": images, "labels": batch.labels, "rows": batch.rows, "repeats": batch.repeats}

    def finished(self, recipe: str, part: str) -> Arrays:
        from fastffdi.loaders.cpu import CpuLoader
        from fastffdi.recipe import mix, plan
        from fastffdi.recipe.recipe import load
        from fastffdi.render.device.stage import DeviceStage
        from fastffdi.training.mix import Mixer

        with contextlib.closing(CpuLoader(self._feed(recipe, part), THREADS, beyond=False)) as loader:
            batch = next(loader.epoch(0))
        images = DeviceStage(torch.device("cpu"), torch.float32)(batch.images, batch.program, batch.done)
        tensors = {"normalised": images}
        if part == "train":
            mixer = Mixer(load(recipe).mix or mix.Mix(mixup=0.2, cutmix=1.0), plan.Plan(SEED))
            labels = torch.from_numpy(batch.labels).repeat_interleave(batch.views)
            tensors |= zip(("mixed", "partners", "shares"), mixer(images, labels, batch), strict=True)
        return {kind: tensor.numpy() for kind, tensor in tensors.items()}

    def scores(self, recipe: str, model: torch.nn.Module, file: Path) -> np.ndarray:
        from fastffdi.inference.predict import restore
        from fastffdi.model.checkpoint import Checkpoint, save
        from fastffdi.recipe.recipe import load

        data, epoch = load(recipe).resolve(*BACKBONE).to_data(), 0
        save(Checkpoint(MODEL, data, *BACKBONE, epoch, SEED), model, file)
        return restore(file, "cpu", "cpu", "off", THREADS, BATCH)(self._manifest)

    def _feed(self, recipe: str, part: str, balance: bool = False, scaled: bool = False) -> Any:
        from fastffdi.loaders.feed import Feed
        from fastffdi.loaders.source import Files

        from fastffdi.recipe.recipe import load

        steps = getattr(load(recipe).resolve(*BACKBONE), part)
        shuffle, source = part == "train", Files(scaled)
        return Feed.over(self._manifest, steps, BATCH, THREADS, SEED, shuffle, balance, source)


def adapter() -> type[Package]:
    """The class that knows the names in the package that is imported here."""
    found = importlib.util.find_spec("fastffdi.loaders.planner")
    return RemainingPrograms if found else CountedKernels

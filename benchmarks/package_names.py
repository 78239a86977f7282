"""What same_pixels.py asks of the package, under the names that a tree has for it."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch

SEED, BATCH, THREADS, MODEL = 0, 8, 2, "test_efficientnet"

#: What a recipe's `backbone` stands for: size, mean, std.
BACKBONE = ((256, 256), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

Arrays = dict[str, np.ndarray]

CPU = torch.device("cpu")


class Package:
    """The package in a tree, and what it makes of the images in a folder. Its names are those of now."""

    def __init__(self, folder: Path, names: np.ndarray, labels: np.ndarray) -> None:
        from fastffdi.data.manifest import Manifest

        self.manifest = Manifest(str(folder), names, labels)

    def recipes(self) -> list[str]:
        """The names of the shipped recipes."""
        from fastffdi.recipe.recipe import shipped

        return shipped()

    def batches(
        self, recipe: str, part: str, loader: str, epoch: int, cache: Path | None = None, **how: bool
    ) -> Generator[Arrays, None, None]:
        """Images, labels, rows, repeats as the loader gives them; nothing where it cannot render the recipe.

        Args:
            part: train or eval
            cache: a folder that is filled first, and then serves the images
            how: balance, scaled: as a training run and the recipe's decode block have them
        """
        from fastffdi.errors import RecipeError

        planner = self.planner(recipe, part, **how)
        if cache is not None:
            planner = self.filled(planner, cache)
        try:
            built = self.loader(loader, planner)
        except RecipeError:
            return
        with contextlib.closing(built):
            for batch in built.epoch(epoch):
                images = batch.images.numpy().copy()
                yield {"images": images, "labels": batch.labels, "rows": batch.rows, "repeats": batch.repeats}

    def finished(self, recipe: str, part: str) -> Arrays:
        """The first batch as float32, of which the loader has rendered no more than it must: `normalised`.

        For train also `mixed`, with `partners` (their labels) and `shares`: as the recipe mixes, or else by
        MixUp 0.2 and CutMix 1.0.
        """
        from fastffdi.recipe.mix import Mix
        from fastffdi.recipe.recipe import load

        with contextlib.closing(self.least(self.planner(recipe, part))) as loader:
            batch = next(loader.epoch(0))
        images = self.normalised(batch)
        tensors = {"normalised": images}
        if part == "train":
            mixer = self.mixer_kind()(load(recipe).mix or Mix(mixup=0.2, cutmix=1.0), self.numbers())
            labels = torch.from_numpy(batch.labels).repeat_interleave(batch.views)
            tensors |= zip(("mixed", "partners", "shares"), mixer(images, labels, batch), strict=True)
        return {kind: tensor.numpy() for kind, tensor in tensors.items()}

    def scores(self, recipe: str, model: torch.nn.Module, file: Path) -> np.ndarray:
        """The scores of all images by a model, which is timm's MODEL, by way of a checkpoint in `file`."""
        from fastffdi.model.checkpoint import Checkpoint, save
        from fastffdi.recipe.recipe import load

        data, epoch = load(recipe).resolve(*BACKBONE).to_data(), 0
        save(Checkpoint(MODEL, data, *BACKBONE, epoch, SEED), model, file)
        return self.predictor(file)(self.manifest)

    # What has had other names.

    def settings(self) -> Any:
        from fastffdi.loaders.settings import LoaderSettings

        return LoaderSettings(threads=THREADS, batch_size=BATCH)

    def planner(self, recipe: str, part: str, balance: bool = False, scaled: bool = False) -> Any:
        from fastffdi.loaders.planner import BatchPlanner
        from fastffdi.recipe.recipe import load
        from fastffdi.render.cpu.decode import SourceDecoder

        steps, decoder = getattr(load(recipe).resolve(*BACKBONE), part), SourceDecoder(scaled=scaled)
        how: dict[str, Any] = {"seed": SEED, "shuffle": part == "train", "balance": balance}
        return BatchPlanner.over(self.manifest, steps, self.settings(), decoder=decoder, **how)

    def filled(self, planner: Any, folder: Path) -> Any:
        from fastffdi.cache.decoder import fill

        plan = planner.cache_plan(folder)
        fill(plan.open(), plan.manifest, plan.prefix, THREADS, lambda done: None)
        return planner.cached(plan)

    def loader(self, name: str, planner: Any) -> Any:
        from fastffdi.loaders.factory import build_loader

        return build_loader(name, planner, self.settings(), CPU)

    def least(self, planner: Any) -> Any:
        from fastffdi.loaders.cpu import CpuLoader

        return CpuLoader(planner, self.settings(), beyond=False)

    def normalised(self, batch: Any) -> torch.Tensor:
        from fastffdi.render.device.stage import DeviceStage

        return DeviceStage(CPU, torch.float32)(batch)

    def numbers(self) -> Any:
        from fastffdi.recipe.rng import CounterRNG

        return CounterRNG(SEED)

    def mixer_kind(self) -> Any:
        from fastffdi.loaders.mix import Mixer

        return Mixer

    def predictor(self, file: Path) -> Any:
        from fastffdi.inference.predict import Predictor

        return Predictor(file, device="cpu", amp="off", backend="cpu", loading=self.settings())


class Unlisted(Package):
    """Trees without public names; they have no `loaders.loader`."""

    def mixer_kind(self) -> Any:
        from fastffdi.training.mix import Mixer

        return Mixer

    def predictor(self, file: Path) -> Any:
        from fastffdi.inference.predict import restore

        return restore(file, "cpu", "cpu", "off", self.settings())


class CountedKernels(Unlisted):
    """Trees in which a batch counts the kernels that have been applied; they have no `loaders.planner`."""

    def settings(self) -> Any:
        from fastffdi.loaders.settings import LoaderSettings

        return LoaderSettings(THREADS)

    def planner(self, recipe: str, part: str, balance: bool = False, scaled: bool = False) -> Any:
        from fastffdi.loaders.feed import Feed
        from fastffdi.loaders.source import Files

        from fastffdi.recipe.recipe import load

        steps, shuffle = getattr(load(recipe).resolve(*BACKBONE), part), part == "train"
        return Feed.over(self.manifest, steps, BATCH, THREADS, SEED, shuffle, balance, Files(scaled))

    def filled(self, planner: Any, folder: Path) -> Any:
        from fastffdi.loaders import cache_plan, cached

        (planner,) = cache_plan.cached([planner], folder, THREADS)
        cached.fill(planner, THREADS, lambda done: None)
        return planner

    def loader(self, name: str, planner: Any) -> Any:
        from fastffdi.loaders.choose import build

        return build(name, planner, self.settings(), CPU)

    def least(self, planner: Any) -> Any:
        from fastffdi.loaders.cpu import CpuLoader

        return CpuLoader(planner, THREADS, beyond=False)

    def normalised(self, batch: Any) -> torch.Tensor:
        from fastffdi.render.device.stage import DeviceStage

        return DeviceStage(CPU, torch.float32)(batch.images, batch.program, batch.done)

    def numbers(self) -> Any:
        from fastffdi.recipe.plan import Plan

        return Plan(SEED)

    def predictor(self, file: Path) -> Any:
        from fastffdi.inference.predict import restore

        return restore(file, "cpu", "cpu", "off", THREADS, BATCH)


def adapter() -> type[Package]:
    """The class that knows the names in the package that is imported here."""
    if importlib.util.find_spec("fastffdi.loaders.loader"):
        return Package
    return Unlisted if importlib.util.find_spec("fastffdi.loaders.planner") else CountedKernels

"""From a checkpoint and images to P(fake)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fastffdi.data.layout import plain_folder
from fastffdi.data.manifest import Manifest
from fastffdi.data.named import image_files
from fastffdi.errors import RecipeError, SettingError
from fastffdi.escapes import escaped
from fastffdi.evaluation.decision import Decision
from fastffdi.inference.forward import Autocast, compiled_forward
from fastffdi.inference.scoring import Scorer
from fastffdi.loaders import factory
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.loaders.planner import BatchPlanner, cached
from fastffdi.loaders.quarantine import FAIL, Quarantine, skips
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model.checkpoint import restore
from fastffdi.model.device import choose_device, tune_convolutions
from fastffdi.model.precision import cast_weights
from fastffdi.model.precision import choose as choose_precision
from fastffdi.model.processes import Processes
from fastffdi.recipe.lowering import template
from fastffdi.recipe.recipe import Recipe, parse
from fastffdi.render.device.stage import DeviceStage

Images = Manifest | str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class Predictor:
    """Scores images by a trained model, with the preprocessing it was trained with.

    Args:
        checkpoint: a .safetensors file that training wrote
        device: auto (CUDA where there is one), cpu, cuda or cuda:N
        amp: precision: auto, bf16, fp16 or off (float32)
        backend: what decodes and renders: auto, dali, cpu or torchvision
        loading: threads, images per batch and what else the loader works with
        cache: folder to keep decoded images in, and to read them from
        on_corrupt: fail at the first image that cannot be decoded, or skip such images: their score is NaN
        compile: compile the forward pass of whole batches with torch.compile when the first one comes
        follow_symlinks: of folders, also take images by links that lead out of them
        processes: that each score a share of the images, and all get the scores of all; they have to make
            the same calls. None: this process is on its own

    Raises SettingError for a file that is no checkpoint and for arguments that do not fit this machine,
    RecipeError for a checkpoint whose recipe is not valid. Nothing is imported because a checkpoint names it.

    >>> predictor = fastffdi.Predictor("best.safetensors", device="cpu")
    >>> scores = predictor(["a.jpg", "b.png"])
    >>> scores.shape, scores.dtype
    ((2,), dtype('float64'))
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike[str],
        *,
        device: str = "auto",
        amp: str = "auto",
        backend: str = "auto",
        loading: LoaderSettings | None = None,
        cache: str | os.PathLike[str] | None = None,
        compile: bool = False,
        on_corrupt: str = FAIL,
        follow_symlinks: bool = False,
        processes: Processes | None = None,
    ) -> None:
        self._skip, self._processes = skips(on_corrupt), processes or Processes()
        self.reasons: dict[str, str] = {}
        self._follow_symlinks = follow_symlinks
        path = Path(checkpoint)
        self._loading = loading or LoaderSettings()
        self._cache = None if cache is None else Path(cache)
        self._device = choose_device(device)
        tune_convolutions(self._device)
        precision = choose_precision(amp, self._device)
        self._backend = factory.choose_loader(backend, self._device, self._loading.process, cache is not None)
        described, model = restore(path)
        self.recipe = recipe_of(described.recipe, path)
        self.decision = decision_of(described.decision, path)
        forward = Autocast(cast_weights(model.to(self._device), precision), precision)
        full = self._loading.batch_size * template(self.recipe.eval).views
        fast = compiled_forward(forward, self._device, full) if compile else None
        self._scorer = Scorer(forward.model, precision, fast)
        self._stage = DeviceStage(self._device, precision.dtype)

    def __call__(self, images: Images, progress: Callable[[int], None] | None = None) -> np.ndarray:
        """P(fake) of each image: (N,) float64 from 0 to 1, in the order of the images.

        Args:
            images: paths of files, a folder (all images below it, sorted by name), or a manifest
            progress: called after each batch with its number of images

        Raises DataError for files that do not exist, UndecodableImage for one that cannot be decoded; where
        such are skipped, `reasons` says why, by name, until the next call.
        """
        manifest = _manifest(images, self._follow_symlinks)
        planner = self._planner(manifest).divided(self._processes.world)
        if self._cache is not None:
            (planner,) = cached([planner], self._cache)
        backend = factory.build_loader(self._backend, planner, self._loading, self._device)
        quarantine = Quarantine()
        self.reasons = quarantine.reasons
        with DeviceLoader(backend, self._stage, None, quarantine) as loader:
            scores = self._scorer(loader, len(manifest), progress)
        return self._of_all(planner.sampler.epoch(0)[0], scores)

    def _planner(self, manifest: Manifest) -> BatchPlanner:
        """The batches of all processes together, of which the first alone probes the sizes of images."""

        def planned(manifest: Manifest) -> BatchPlanner:
            return BatchPlanner.of_split(
                self.recipe, "eval", manifest, self._loading, skip_corrupt=self._skip
            )

        planner = self._processes.only_first(lambda: planned(manifest))
        sizes = self._processes.first(lambda: None if planner is None else planner.manifest.sizes)
        return planned(replace(manifest, sizes=sizes)) if planner is None else planner

    def _of_all(self, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """The scores of all rows, of which these are this process's; `reasons` become those of all too."""
        if self._processes.world.alone:
            return scores
        for others, own, reasons in self._processes.all((rows, scores[rows], self.reasons)):
            scores[others] = own
            self.reasons |= reasons
        return scores


def recipe_of(data: Any, path: Path) -> Recipe:
    """The recipe of the checkpoint at a path; what its training steps name is not imported.

    Raises RecipeError in one line, whatever is in it.
    """
    try:
        return parse(data, "its recipe", code=True)
    except RecipeError as error:
        first, *more = error.args
        others = f", and {len(more)} more" * bool(more)
        raise RecipeError(f"checkpoint {path}: {escaped(first)[:1000]}{others}") from error


def decision_of(data: Any, path: Path) -> Decision | None:
    """The decision stored in the checkpoint at a path, if any. Raises SettingError for what is none."""
    try:
        return None if data is None else Decision.from_data(data)
    except ValueError as error:
        raise SettingError(f"checkpoint {path}: {escaped(str(error))[:300]}; store it anew") from None


def _manifest(images: Images, follow_symlinks: bool) -> Manifest:
    if isinstance(images, Manifest):
        return images
    if isinstance(images, str | os.PathLike) and os.path.isdir(images):
        return plain_folder(Path(images), follow_symlinks=follow_symlinks)
    files = [images] if isinstance(images, str | os.PathLike) else images
    return image_files([os.fspath(image) for image in files], follow_symlinks=follow_symlinks)

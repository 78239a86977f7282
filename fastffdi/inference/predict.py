"""From a checkpoint and images to P(fake), and to the challenge's CSV."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastffdi.data.manifest import Manifest
from fastffdi.files import atomic
from fastffdi.inference.scoring import Scorer
from fastffdi.loaders import factory
from fastffdi.loaders.planner import BatchPlanner, cached
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model import checkpoint, precision
from fastffdi.model.device import choose_device
from fastffdi.recipe.recipe import Recipe, parse
from fastffdi.render.device.stage import DeviceStage


@dataclass(frozen=True)
class Predictor:
    """A trained model and its own preprocessing, ready for images."""

    scorer: Scorer
    recipe: Recipe
    loader: str
    settings: LoaderSettings
    cache: Path | None = None

    def __call__(self, manifest: Manifest, progress: Callable[[int], None] | None = None) -> np.ndarray:
        """(N,) float64 P(fake) in the manifest's order. Raises UndecodableImage."""
        planner = BatchPlanner.of_split(self.recipe, "eval", manifest, self.settings)
        if self.cache is not None:
            (planner,) = cached([planner], self.cache)
        device = self.scorer.stage.device
        with closing(factory.build_loader(self.loader, planner, self.settings, device)) as loader:
            return self.scorer(loader, len(manifest), progress)


def restore(
    path: Path,
    loader: str = "auto",
    device: str = "auto",
    amp: str = "auto",
    settings: LoaderSettings | None = None,
    cache: Path | None = None,
) -> Predictor:
    """The predictor of a checkpoint; the arguments mean what they mean in `fastffdi predict --help`.

    Raises SettingError for a file that is no checkpoint and for arguments that do not fit this machine.
    """
    settings = settings or LoaderSettings()
    place = choose_device(device)
    numbers = precision.choose(amp, place)
    kind = factory.choose_loader(loader, place, settings.process, cache is not None)
    described, model = checkpoint.restore(path)
    # Its steps for training may name functions; they are not run here.
    recipe = parse(described.recipe, str(path), code=True)
    scorer = Scorer(model.to(place), DeviceStage(place, numbers.dtype), numbers)
    return Predictor(scorer, recipe, kind, settings, cache)


def write_csv(path: Path, names: np.ndarray, scores: np.ndarray) -> None:
    """Write `img_name,y_pred`, one row per image in order, names as given; the file is whole or absent."""
    import pandas as pd

    with atomic(path) as part:
        table = pd.DataFrame({"img_name": names, "y_pred": scores})
        # Nine digits tell any two float32 apart, so the file ranks as the scores do.
        # File names that are not UTF-8 arrive with surrogates, and leave as the bytes they were.
        table.to_csv(part, index=False, float_format="%.9g", errors="surrogateescape")

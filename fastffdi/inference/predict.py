"""From a checkpoint and images to P(fake), and to the challenge's CSV."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastffdi.cache.plan import cached, loader_for
from fastffdi.data.manifest import Manifest
from fastffdi.data.source import Files
from fastffdi.files import atomic
from fastffdi.inference.scoring import Scorer
from fastffdi.loaders import factory
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import UNTUNED, LoaderSettings, Tuned
from fastffdi.model import checkpoint, precision
from fastffdi.model.device import choose_device, choose_threads
from fastffdi.recipe.recipe import Recipe, parse
from fastffdi.render.device.stage import DeviceStage


@dataclass(frozen=True)
class Predictor:
    """A trained model and its own preprocessing, ready for images."""

    scorer: Scorer
    recipe: Recipe
    loader: str
    settings: LoaderSettings
    batch_size: int
    cache: Path | None = None

    def __call__(self, manifest: Manifest, progress: Callable[[int], None] | None = None) -> np.ndarray:
        """(N,) float64 P(fake) in the manifest's order. Raises UndecodableImage."""
        source = Files(self.recipe.decode.scaled)
        planner = BatchPlanner.over(
            manifest, self.recipe.eval, self.batch_size, self.settings.threads, source=source
        )
        if self.cache is not None:
            (planner,) = cached([planner], self.cache, self.settings.threads)
        device = self.scorer.stage.device
        with closing(factory.build_loader(self.loader, planner, self.settings, device)) as loader:
            return self.scorer(loader, len(manifest), progress)


def restore(
    path: Path,
    loader: str,
    device: str,
    amp: str,
    threads: int | None,
    batch_size: int,
    tuned: Tuned = UNTUNED,
    cache: Path | None = None,
    process: bool | None = None,
) -> Predictor:
    """The predictor of a checkpoint; the options mean what they mean in `fastffdi predict --help`.

    Raises SettingError for a file that is no checkpoint and for options that do not fit this machine.
    """
    place = choose_device(device)
    numbers = precision.choose(amp, place)
    kind = factory.choose_loader(loader if cache is None else loader_for(loader), place, process)
    described, model = checkpoint.restore(path)
    # Its steps for training may name functions; they are not run here.
    recipe = parse(described.recipe, str(path), code=True)
    scorer = Scorer(model.to(place), DeviceStage(place, numbers.dtype), numbers)
    settings = tuned.settings(choose_threads(threads), process)
    return Predictor(scorer, recipe, kind, settings, batch_size, cache)


def write_csv(path: Path, names: np.ndarray, scores: np.ndarray) -> None:
    """Write `img_name,y_pred`, one row per image in order, names as given; the file is whole or absent."""
    import pandas as pd

    with atomic(path) as part:
        table = pd.DataFrame({"img_name": names, "y_pred": scores})
        # Nine digits tell any two float32 apart, so the file ranks as the scores do.
        # File names that are not UTF-8 arrive with surrogates, and leave as the bytes they were.
        table.to_csv(part, index=False, float_format="%.9g", errors="surrogateescape")

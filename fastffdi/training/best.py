"""The best model of a run, to score images with as the run has its own."""

from __future__ import annotations

from fastffdi.inference.predict import Predictor
from fastffdi.training.folder import BEST
from fastffdi.training.settings import Settings


def best_predictor(settings: Settings) -> Predictor:
    """The Predictor of best.safetensors in the run's folder, with the run's device, precision and loader.

    Raises as Predictor.
    """
    return Predictor(
        settings.output / BEST,
        device=settings.device,
        amp=settings.amp,
        backend=settings.backend,
        loading=settings.loading,
        cache=settings.cache,
        on_corrupt=settings.on_corrupt,
    )

"""Train and run real/fake (deepfake) image classifiers.

    find_dataset    a folder of images → training and validation images
    load_recipe     a recipe by name or file → preprocessing steps
    Loader          images and steps → batches on the device, for any training loop
    Settings        what a training run is given; LoaderSettings: how its loader works;
                    Optimisation: how it learns
    train           Settings → a trained model
    Predictor       a trained model → P(fake) of images
    FastffdiError   base of all errors that are raised on purpose

Names are imported at their first use: `import fastffdi` takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastffdi.data.layout import find_dataset as find_dataset
    from fastffdi.errors import FastffdiError as FastffdiError
    from fastffdi.inference.predict import Predictor as Predictor
    from fastffdi.loaders.loader import Loader as Loader
    from fastffdi.loaders.settings import LoaderSettings as LoaderSettings
    from fastffdi.model.backbone import load_recipe as load_recipe
    from fastffdi.training.optimisation import Optimisation as Optimisation
    from fastffdi.training.run import train as train
    from fastffdi.training.settings import Settings as Settings

    __version__: str

#: Where each name is.
_MODULES = {
    "FastffdiError": "errors",
    "Loader": "loaders.loader",
    "LoaderSettings": "loaders.settings",
    "Optimisation": "training.optimisation",
    "Predictor": "inference.predict",
    "Settings": "training.settings",
    "find_dataset": "data.layout",
    "load_recipe": "model.backbone",
    "train": "training.run",
}

__all__ = [*_MODULES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("fastffdi")
    if name not in _MODULES:
        raise AttributeError(f"module 'fastffdi' has no attribute '{name}'; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"fastffdi.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *(name for name in __all__ if name not in globals())]

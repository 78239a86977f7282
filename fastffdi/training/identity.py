"""What two processes must have in common for one to go on with the run of the other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

import numpy as np

from fastffdi.data.layout import Dataset
from fastffdi.data.manifest import Manifest
from fastffdi.recipe.recipe import Recipe
from fastffdi.training.settings import Settings

#: Settings of the optimisation that have an option.
_OPTIONS = {
    name: f"--{name.replace('_', '-')}" for name in ("ema", "accumulate", "tune", "freeze", "label_smoothing")
}


def identity(
    settings: Settings, dataset: Dataset, recipe: Recipe, loader: str, precision: str, device: str
) -> dict[str, Any]:
    """What decides the course of a run, as plain data by option: nothing that only makes it faster.

    `loader`, `precision` and `device` (its type) are those that were chosen.
    """
    return {
        "--data": _data(dataset),
        "--backbone": settings.backbone,
        "--pipeline": f"recipe {_digest(json.dumps(recipe.to_data(), sort_keys=True).encode())}",
        "--epochs": settings.epochs,
        "--lr": settings.learning_rate,
        "--batch-size": settings.loading.batch_size,
        "--balance": settings.balance,
        "--seed": settings.seed,
        "--pretrained": settings.pretrained,
        "--weights": None if settings.weights is None else str(settings.weights),
        "--loader": loader,
        "hw_decoder_load": settings.loading.hw_decoder_load,
        "jpeg_fancy_upsampling": settings.loading.jpeg_fancy_upsampling,
        "--device": device,
        "--amp": precision,
        "--compile": settings.compile,
        "patience": settings.patience,
        **{_OPTIONS.get(name, name): value for name, value in asdict(settings.optimisation).items()},
        **({"--sync-bn": True} if settings.sync_bn else {}),
        **({} if settings.holdout is None else {"--holdout": settings.holdout}),
    }


def _data(dataset: Dataset) -> str:
    parts = (dataset.train, dataset.val)
    digest = _digest(b"\0\0".join(_column(part) for part in parts))
    return f"{len(dataset.train)} and {len(dataset.val)} images ({digest})"


def _column(rows: Manifest) -> bytes:
    labels = np.zeros(0, np.int64) if rows.labels is None else rows.labels
    # File names that are not UTF-8 have surrogates.
    return "\0".join(rows.names.tolist()).encode("utf-8", "surrogatepass") + labels.astype("<i8").tobytes()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]

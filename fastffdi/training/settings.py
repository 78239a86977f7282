"""The settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fastffdi.loaders.settings import LoaderSettings


@dataclass(frozen=True)
class Settings:
    """The options of a training run; the meaning of each is in `fastffdi train --help`.

    Attributes:
        loading: threads, batch size and what else the loader works with
    """

    backbone: str
    pipeline: str
    epochs: int
    learning_rate: float
    output: Path
    loading: LoaderSettings = field(default_factory=LoaderSettings)
    loader: str = "auto"
    device: str = "auto"
    amp: str = "auto"
    pretrained: bool = True
    weights: Path | None = None
    overwrite: bool = False
    balance: bool = False
    seed: int = 0
    cache: Path | None = None

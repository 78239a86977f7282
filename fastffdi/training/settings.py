"""The settings of a training run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from fastffdi.data.layout import Dataset, find_dataset
from fastffdi.demo.dataset import demo_folder
from fastffdi.errors import SettingError, did_you_mean
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.recipe import default_recipe
from fastffdi.training.interval import Interval

MUST, AUTO = "must", "auto"

#: In place of a default that depends on the others.
_LATER: Any = None


@dataclass(frozen=True)
class Settings:
    """The settings of a training run; what is left out is as in `fastffdi train`. Paths may be strings.

    Attributes:
        backbone: any timm model
        pipeline: a shipped recipe's name, or a file; standard, or demo for the demo images
        epochs: passes over the training images
        learning_rate: the highest one (AdamW, warm-up, cosine)
        output: folder for checkpoints and figures; runs/BACKBONE-DATE-TIME
        loading: threads, images per batch (and update) and what else the loader works with
        backend: what decodes and renders: auto, dali, cpu or torchvision
        device: auto, cpu, cuda or cuda:N
        amp: precision: auto, bf16, fp16 or off (float32)
        pretrained: start from timm's weights; yes, or no for the demo images
        weights: start from this file: safetensors or a state dict
        imagenet1k_only: refuse weights that saw, or may have seen, more than ImageNet-1k
        overwrite: replace the run that the folder holds
        balance: repeat images of the smaller class until classes are equal
        seed: decides order, augmentation, mixing and random weights
        cache: folder to keep decoded images in, and to read them from
        compile: compile the training step with torch.compile
        on_corrupt: skip images that cannot be decoded, or fail at the first one
        max_corrupt: share of the images that may be skipped; one always may
        save_every: how often the state is saved that a run can go on from: a time such as 10m, or a number of
            updates such as 500. It is saved at the end of each epoch too, and when a signal stops the run
        resume: must: go on with the run in `output`, of the same settings; auto: do so where there is one,
            else begin. None: begin
        sync_bn: of several processes, each on a GPU: compute BatchNorm's statistics over the images of all
        data: folder in the challenge's layout or with class folders, or a Dataset; the demo images
        follow_symlinks: also take images by links that lead out of the folder
    """

    backbone: str = "efficientnet_b0"
    pipeline: str = _LATER
    epochs: int = 5
    learning_rate: float = 1e-3
    output: Path = _LATER
    loading: LoaderSettings = field(default_factory=LoaderSettings)
    backend: str = "auto"
    device: str = "auto"
    amp: str = "auto"
    pretrained: bool = _LATER
    weights: Path | None = None
    overwrite: bool = False
    balance: bool = False
    seed: int = 0
    cache: Path | None = None
    compile: bool = False
    data: str | Path | Dataset | None = None
    on_corrupt: str = "skip"
    max_corrupt: float = 0.01
    save_every: str = "10m"
    resume: str | None = None
    follow_symlinks: bool = False
    imagenet1k_only: bool = False
    sync_bn: bool = False

    def __post_init__(self) -> None:
        self._check_resume()
        demo, now = self.data is None, f"{datetime.now():%Y%m%d-%H%M%S}"
        for name, value in (
            ("pipeline", default_recipe(demo)),
            ("output", f"runs/{self.backbone}-{now}"),
            ("pretrained", not demo),
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name in ("output", "weights", "cache"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, Path(getattr(self, name)))

    @property
    def interval(self) -> Interval:
        """What `save_every` says."""
        return Interval.parse(self.save_every, "--save-every")

    def _check_resume(self) -> None:
        _ = self.interval
        if self.resume is None:
            return
        if self.resume not in (MUST, AUTO):
            raise SettingError(f"--resume {self.resume}: unknown{did_you_mean(self.resume, (MUST, AUTO))}")
        if self.output is None:
            raise SettingError("--resume: name the folder of the run with --output")
        if self.overwrite:
            raise SettingError(
                "--resume: goes on with a run, which --overwrite deletes; leave out one of the two"
            )

    def dataset(self, say: Callable[[str], None] | None = None) -> Dataset:
        """The images to train on. `say` and DataError are find_dataset's."""
        if isinstance(self.data, Dataset):
            return self.data
        folder = demo_folder() if self.data is None else self.data
        return find_dataset(folder, say, self.follow_symlinks)

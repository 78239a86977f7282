"""The settings of a training run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from fastffdi.data.holdout import hold_out, parse
from fastffdi.data.layout import Dataset, find_dataset, label_files
from fastffdi.demo.dataset import demo_folder
from fastffdi.errors import SettingError, did_you_mean
from fastffdi.loaders.settings import LoaderSettings, positive, share, whole
from fastffdi.recipe.recipe import default_recipe
from fastffdi.recipe.steps.base import shown
from fastffdi.training.interval import Interval, time_of
from fastffdi.training.optimisation import Optimisation

MUST, AUTO = "must", "auto"

#: Per setting: whether a value is valid, and which ones are. None is, where it is the default.
_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": whole(1),
    "learning_rate": (positive, "a number above 0"),
    "seed": whole(0),
    "limit": whole(2),
    "patience": whole(1),
    "on_corrupt": (lambda value: value in ("skip", "fail"), "skip or fail"),
    "max_corrupt": (share, "a number from 0 to 1"),
}

#: Label files and their images' folders, in place of `data`.
LABEL_FILES = ("train_labels", "train_images", "val_labels", "val_images")

#: In place of a default that depends on the others.
_LATER: Any = None


@dataclass(frozen=True)
class Settings:
    """The settings of a training run; what is left out is as in `fastffdi train`. Paths may be strings.

    Attributes:
        backbone: any timm model
        pipeline: a shipped recipe's name, or a file; standard, or demo for the demo images
        epochs: passes over the training images
        learning_rate: the highest one
        optimisation: optimiser, schedule, loss, and which weights are trained
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
        train_labels: label file img_name,target of the training images, in place of `data`; then all four
        train_images: the folder of these images
        val_labels: label file of the validation images
        val_images: the folder of these images
        limit: use about so many images of each split, classes in proportion; all of them
        patience: end the run after so many epochs without a better AUC; None: never
        time_limit: end the run when it has taken a time such as 2h, as a signal would, with the best model so
            far; None: never. A run that goes on has all of it again
        holdout: COLUMN=VALUE: keep the images with that value in a further column of the label files out of
            training and validation, and score them at the end
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
    data: Path | str | Dataset | None = None
    on_corrupt: str = "skip"
    max_corrupt: float = 0.01
    save_every: str | int = "10m"
    resume: str | None = None
    follow_symlinks: bool = False
    imagenet1k_only: bool = False
    sync_bn: bool = False
    train_labels: Path | None = None
    train_images: Path | None = None
    val_labels: Path | None = None
    val_images: Path | None = None
    limit: int | None = None
    patience: int | None = None
    time_limit: str | None = None
    holdout: str | None = None
    optimisation: Optimisation = field(default_factory=Optimisation)

    def __post_init__(self) -> None:
        for name, (valid, allowed) in _ALLOWED.items():
            value = getattr(self, name)
            if value is not None and not valid(value):
                raise SettingError(f"{name}: {shown(value)} is not {allowed}")
        self._check_data()
        self._check_resume()
        if self.holdout is not None:
            parse(self.holdout)
        demo, now = self.demo, f"{datetime.now():%Y%m%d-%H%M%S}"
        for name, value in (
            ("pipeline", default_recipe(demo)),
            ("output", f"runs/{self.backbone}-{now}"),
            ("pretrained", not demo),
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name in ("output", "weights", "cache", *LABEL_FILES):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, Path(getattr(self, name)))

    @property
    def interval(self) -> Interval:
        """What `save_every` says."""
        return Interval.parse(str(self.save_every), "--save-every")

    @property
    def longest(self) -> Interval:
        """What `time_limit` says."""
        return Interval() if self.time_limit is None else time_of(self.time_limit, "--time-limit")

    @property
    def demo(self) -> bool:
        """Whether the images are the built-in ones."""
        return self.data is None and self.train_labels is None

    def _check_data(self) -> None:
        given = [name for name in LABEL_FILES if getattr(self, name) is not None]
        if not given or (len(given) == len(LABEL_FILES) and self.data is None):
            return
        missing = [f"--{name.replace('_', '-')}" for name in LABEL_FILES if name not in given]
        problem = "--data" if self.data is not None else f"{' and '.join(missing)} missing"
        raise SettingError(
            f"{problem}: give either --data, or all of --train-labels, --train-images, --val-labels and "
            "--val-images"
        )

    def _check_resume(self) -> None:
        _ = self.interval, self.longest
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

    def dataset(self, say: Callable[[str], None] | None = None, builtin: Path | None = None) -> Dataset:
        """The images to train on. `say` and DataError are find_dataset's.

        `builtin` is the folder of the demo images, where it is known.
        """
        dataset = self._all_images(say or (lambda line: None), builtin)
        dataset = dataset if self.holdout is None else hold_out(dataset, self.holdout)
        return dataset if self.limit is None else dataset.limit(self.limit, self.seed)

    def _all_images(self, say: Callable[[str], None], builtin: Path | None) -> Dataset:
        if isinstance(self.data, Dataset):
            return self.data
        if self.train_labels is not None:
            files = {name: getattr(self, name) for name in LABEL_FILES}
            return label_files(**files, say=say, follow_symlinks=self.follow_symlinks)
        folder = (builtin or demo_folder()) if self.data is None else self.data
        return find_dataset(folder, say, self.follow_symlinks)

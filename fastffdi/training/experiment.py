"""From settings to a finished run: parts are built so that the cheapest mistakes to find come first."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from fastffdi.data.layout import Dataset
from fastffdi.errors import DataError, SettingError
from fastffdi.loaders import factory, quarantine
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.loaders.mix import Mixer
from fastffdi.loaders.planner import BatchPlanner, cached
from fastffdi.loaders.quarantine import skips
from fastffdi.model import backbone, checkpoint, compilation, precision, pretraining
from fastffdi.model.device import choose_device, tune_convolutions
from fastffdi.recipe.lowering import output_size, template
from fastffdi.recipe.recipe import Recipe
from fastffdi.recipe.steps.combine import functions
from fastffdi.render.device.python import imported
from fastffdi.render.device.stage import DeviceStage
from fastffdi.training.log import TABLE, RunLog
from fastffdi.training.loop import EpochResult, Progress, Trainer
from fastffdi.training.objective import CrossEntropy
from fastffdi.training.optimiser import Optimiser
from fastffdi.training.saving import Saver
from fastffdi.training.settings import Settings

BEST, LAST = "best.safetensors", "last.safetensors"


@dataclass
class Experiment:
    """A run that is ready to start. Close it, or use it as a context."""

    settings: Settings
    dataset: Dataset
    recipe: Recipe
    trainer: Trainer
    train: DeviceLoader
    val: DeviceLoader
    images: int  # of an epoch, training and validation together
    weights_data: str  # what the weights saw that it starts from
    best: EpochResult | None = field(default=None, init=False)

    def run(self, progress: Progress) -> Iterator[EpochResult]:
        """Train, yielding after each epoch, when its line in the log is on disk.

        Its checkpoints are being written meanwhile; they are on disk when the next epoch is yielded, and at
        the end.
        """
        _make_output(self.settings)
        labels = self.dataset.val.labels
        assert labels is not None, "find_dataset gives labels"
        with RunLog(self.settings.output) as log, Saver() as saver:
            for result in self.trainer.fit(self.train, self.val, labels, self.settings.epochs, progress):
                log.write(result)
                names = [LAST]
                if self.best is None or _rank(result) > _rank(self.best):
                    self.best = result
                    names.append(BEST)
                paths = [self.settings.output / name for name in names]
                saver.save(self._described(result), self.trainer.model, paths)
                yield result

    @property
    def corrupt(self) -> dict[str, str]:
        """Why images were skipped so far, by name."""
        return {} if self.train.quarantine is None else self.train.quarantine.reasons

    def close(self) -> None:
        """Free the loaders."""
        self.train.close()
        self.val.close()

    def _described(self, result: EpochResult) -> checkpoint.Checkpoint:
        program = template(self.recipe.eval)
        assert program.normalize is not None, "recipes end with it"
        return checkpoint.Checkpoint(
            backbone=self.settings.backbone,
            recipe=self.recipe.to_data(),
            size=output_size(program),
            mean=program.normalize.mean,
            std=program.normalize.std,
            epoch=result.epoch,
            seed=self.settings.seed,
            metrics=result.validation,
            weights_data=self.weights_data,
        )


def prepare(settings: Settings, dataset: Dataset, say: Callable[[str], None]) -> Experiment:
    """Check everything and build everything; nothing is written but an empty cache.

    `say` gets lines worth telling the user. Raises UsageError where the settings, the recipe and the data do
    not go together.
    """
    loading = settings.loading
    recipe = backbone.load_recipe(settings.pipeline, settings.backbone)
    device = choose_device(settings.device)
    tune_convolutions(device)
    numbers = precision.choose(settings.amp, device)
    kind = factory.choose_loader(settings.backend, device, loading.process, settings.cache is not None)
    if settings.compile:
        compilation.check(device)
    _refuse_old_run(settings)
    saw = pretraining.of_run(settings.backbone, settings.pretrained, settings.weights)
    if settings.imagenet1k_only:
        pretraining.check_only_imagenet1k(saw, settings.backbone, settings.weights)
    torch.manual_seed(settings.seed)
    model = backbone.build(settings.backbone, settings.pretrained, settings.weights, say)
    for steps in (recipe.train, recipe.eval):
        backbone.check_input(model, output_size(template(steps)))
    for step in functions(recipe.train):
        imported(step.function, step.folder)
        does = "what it does does not follow from the seed"
        say(f"{settings.pipeline} runs code of yours, {step.function}: {does}")
    if not settings.pretrained and settings.weights is None:
        say(f"{settings.backbone} starts from random weights")
    say(f"{settings.backbone} on {device}, loader {kind}, {numbers.reason}")
    planners = _planners(settings, dataset, recipe)
    if settings.compile:
        planners[0] = replace(planners[0], drop_last=True)  # since a short batch would be compiled anew
        say(_compiling(planners[0], device))
    if settings.cache is not None:
        planners = cached(planners, settings.cache, say)
    backends = [factory.build_loader(kind, planner, loading, device) for planner in planners]
    stage = DeviceStage(device, numbers.dtype)
    rows, table = len(dataset.train) + len(dataset.val), settings.output / quarantine.TABLE
    corrupt = quarantine.Quarantine(rows, settings.max_corrupt, kind, table)
    mixer = Mixer.of_run(recipe.mix, settings.seed, settings.epochs)
    train = DeviceLoader(backends[0], stage, mixer, corrupt)
    val = DeviceLoader(backends[1], stage, None, corrupt)
    trainer = _trainer(settings, model, numbers, device, len(train))
    images = sum(planner.images for planner in planners)
    return Experiment(settings, dataset, recipe, trainer, train, val, images, saw)


def _planners(settings: Settings, dataset: Dataset, recipe: Recipe) -> list[BatchPlanner]:
    """The batches for training and for validation."""
    seed, loading, skip = settings.seed, settings.loading, skips(settings.on_corrupt)
    return [
        BatchPlanner.of_split(
            recipe, "train", dataset.train, loading, seed=seed, balance=settings.balance, skip_corrupt=skip
        ),
        BatchPlanner.of_split(recipe, "eval", dataset.val, loading, seed=seed, skip_corrupt=skip),
    ]


def _trainer(
    settings: Settings, model: nn.Module, numbers: precision.Precision, device: torch.device, batches: int
) -> Trainer:
    model = model.to(device)
    optimiser = Optimiser(model, settings.learning_rate, settings.epochs * batches, numbers.scaler())
    objective = (
        compilation.compiled(CrossEntropy(model, numbers, device), device) if settings.compile else None
    )
    return Trainer(model, numbers, optimiser, device, objective)


def _compiling(planner: BatchPlanner, device: torch.device) -> str:
    """What `--compile` means for a run."""
    left_out = len(planner.sampler) - planner.images
    fewer = f"; {left_out} training images, which fill no batch, are left out of each epoch" * (left_out > 0)
    unproven = "; unproven on a GPU" * (device.type == "cuda")
    return f"the training step is compiled first, which takes minutes{fewer}{unproven}"


def _refuse_old_run(settings: Settings) -> None:
    output = settings.output
    if output.exists() and not output.is_dir():
        raise SettingError(f"--output {output}: is a file; name a folder")
    if not settings.overwrite and any((output / name).exists() for name in (TABLE, BEST, LAST)):
        raise SettingError(f"--output {output}: already holds a run; name another folder, or add --overwrite")


def _make_output(settings: Settings) -> None:
    try:
        settings.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--output {settings.output}: cannot be made ({error.strerror})") from None
    for old in (TABLE, quarantine.TABLE, BEST, LAST, "events.out.tfevents.*"):
        for path in settings.output.glob(old):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _rank(result: EpochResult) -> float:
    """Higher is better: AUC, or less loss where one class is absent and AUC is undefined."""
    auc, loss = result.validation["auc"], result.validation["log_loss"]
    return auc if auc is not None else -(loss or 0.0)

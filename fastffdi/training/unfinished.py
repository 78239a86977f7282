"""What is left of a run whose time was over before its first epoch: a checkpoint of the model as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fastffdi.model import checkpoint
from fastffdi.training.folder import BEST, writing
from fastffdi.training.loop import Progress
from fastffdi.training.result import EpochResult

if TYPE_CHECKING:
    from fastffdi.training.experiment import Experiment


def keep_unfinished(experiment: Experiment, progress: Progress) -> EpochResult:
    """Validate the model in the middle of its first epoch, and write it as the best one.

    Only the checkpoint tells of it: a run that goes on does so as if it had not been. Raises Stopping.
    """
    place, trainer, labels = experiment.place, experiment.trainer, experiment.dataset.val.labels
    assert labels is not None, "find_dataset gives labels"
    place.stop_clock()
    here, speed = place.state_dict(), place.images_per_second
    place.images = experiment.train.backend.planner.images  # so that the epoch's validation is what is left
    rest = trainer.fit(experiment.train, experiment.val, labels, place.epoch + 1, progress, place)
    result = replace(next(rest), images_per_second=speed)
    place.load_state_dict(here)
    if experiment.processes.world.first:
        with writing(experiment.settings.output):
            path = experiment.settings.output / BEST
            model = trainer.models[result.weights]
            checkpoint.save(experiment.described(result), model, path)
    return result

import itertools
from contextlib import closing
from dataclasses import replace

import pytest
import torch

from fastffdi.bench.phases import PhaseTimer
from fastffdi.bench.steps import kept, stream, train, watched
from fastffdi.data.layout import find_dataset
from fastffdi.training.experiment import Settings, prepare

pytestmark = pytest.mark.usefixtures("one_thread")

STEP = ["data", "copy", "forward", "backward", "optimiser", "optimiser"]


class Told(PhaseTimer):
    """Laps that remember what they were told."""

    def __init__(self):
        super().__init__(torch.device("cpu"))
        self.to_loader_error = []

    def begin(self):
        super().begin()
        self.to_loader_error.append("begin")

    def end(self, phase):
        super().end(phase)
        self.to_loader_error.append(phase)


@pytest.fixture
def experiment(tiny, tmp_path):
    settings = Settings(
        "test_efficientnet", str(tiny / "recipe.yaml"), 1, 8, 0.01, tmp_path, "cpu", "cpu", "off", False
    )
    with closing(prepare(settings, find_dataset(tiny), lambda line: None)) as ready:
        yield ready


def weights(experiment):
    return torch.cat([p.detach().flatten().clone() for p in experiment.trainer.model.parameters()])


def test_phases_are_told_in_the_order_of_a_step(experiment):
    timer = Told()
    assert train(experiment.trainer, stream(experiment.train), 3, timer) > 0
    assert timer.to_loader_error == ["begin", *STEP * 2, *STEP[:-1]]


def test_the_stream_goes_on_where_it_was_left_and_over_the_end_of_an_epoch(experiment):
    batches = stream(experiment.train)  # 5 a pass
    train(experiment.trainer, batches, 3, Told())
    rest = [batch.epoch for batch in itertools.islice(batches, 4)]
    assert rest == [0, 0, 1, 1]


def test_being_watched_changes_nothing(tiny, tmp_path):
    def trained(watch):
        settings = Settings(
            "test_efficientnet", str(tiny / "recipe.yaml"), 1, 8, 0.01, tmp_path, "cpu", "cpu", "off", False
        )
        with closing(prepare(settings, find_dataset(tiny), lambda line: None)) as ready:
            if watch:
                train(ready.trainer, stream(ready.train), len(ready.train), Told())
            else:
                ready.trainer.train_epoch(ready.train, 0, lambda images, means: None)
            return weights(ready)

    assert torch.equal(trained(True), trained(False))


def test_hooks_are_gone_afterwards_even_after_an_error(experiment):
    trainer, timer = experiment.trainer, Told()
    with pytest.raises(RuntimeError), watched(trainer, timer):
        raise RuntimeError
    trainer.train_epoch(experiment.train, 0, lambda images, means: None)
    assert timer.to_loader_error == []


def test_a_kept_batch_is_what_the_stage_makes_and_has_nothing_left_to_do(experiment):
    stage = experiment.trainer.stage
    batch = next(stream(experiment.train))
    one = kept(batch, stage)
    made = stage(one.images, one.program, one.done)
    torch.testing.assert_close(made, stage(batch.images, batch.program, batch.done), rtol=0, atol=0)
    assert made.data_ptr() == one.images.data_ptr()
    assert replace(one, images=batch.images, done=batch.done) == batch

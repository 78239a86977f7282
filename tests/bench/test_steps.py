import itertools
from contextlib import closing
from dataclasses import replace

import pytest
import torch

from fastffdi.bench.phases import PhaseTimer
from fastffdi.bench.steps import kept, train, watched
from fastffdi.bench.stream import batches
from fastffdi.data.layout import find_dataset
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.training.preparation import prepare
from fastffdi.training.settings import Settings

pytestmark = pytest.mark.usefixtures("one_thread")

STEP = ["data", "copy", "forward", "backward", "optimiser", "optimiser"]


class Recorder(PhaseTimer):
    """A timer that remembers its marks."""

    def __init__(self):
        self.marks = []
        super().__init__(torch.device("cpu"))
        self.marks.clear()

    def begin(self):
        super().begin()
        self.marks.append("begin")

    def end(self, phase):
        super().end(phase)
        self.marks.append(phase)


@pytest.fixture
def settings(tiny, tmp_path):
    recipe, loading = str(tiny / "recipe.yaml"), LoaderSettings(batch_size=8)
    return Settings(
        "test_efficientnet", recipe, 1, 0.01, tmp_path, loading, "cpu", "cpu", amp="off", pretrained=False
    )


@pytest.fixture
def experiment(settings, tiny):
    with closing(prepare(settings, find_dataset(tiny), lambda line: None)) as ready:
        yield ready


def weights(experiment):
    return torch.cat([p.detach().flatten().clone() for p in experiment.trainer.model.parameters()])


def test_phases_are_marked_in_the_order_of_a_step(experiment):
    timer = Recorder()
    assert train(experiment.trainer, experiment.train, batches(experiment.train.backend), 3, timer) > 0
    assert timer.marks == ["begin", *STEP * 2, *STEP[:-1]]


def test_the_stream_goes_on_where_it_was_left_and_over_the_end_of_an_epoch(experiment):
    stream = batches(experiment.train.backend)  # 5 an epoch
    train(experiment.trainer, experiment.train, stream, 3, Recorder())
    rest = [batch.epoch for batch in itertools.islice(stream, 4)]
    assert rest == [0, 0, 1, 1]


def test_being_watched_changes_nothing(settings, tiny):
    def trained(watch):
        with closing(prepare(settings, find_dataset(tiny), lambda line: None)) as ready:
            if watch:
                train(ready.trainer, ready.train, batches(ready.train.backend), len(ready.train), Recorder())
            else:
                ready.trainer.train_epoch(ready.train, ready.place, lambda images, means: None)
            return weights(ready)

    assert torch.equal(trained(True), trained(False))


def test_hooks_are_gone_afterwards_even_after_an_error(experiment):
    trainer, timer = experiment.trainer, Recorder()
    with pytest.raises(RuntimeError), watched(trainer, timer):
        raise RuntimeError
    trainer.train_epoch(experiment.train, experiment.place, lambda images, means: None)
    assert timer.marks == []


def test_a_kept_batch_is_what_the_stage_makes_and_has_nothing_left_to_do(experiment):
    stage = experiment.train.stage
    batch = next(batches(experiment.train.backend))
    one = kept(batch, stage)
    made = stage(one)
    torch.testing.assert_close(made, stage(batch), rtol=0, atol=0)
    assert made.data_ptr() == one.images.data_ptr()
    assert replace(one, images=batch.images, remaining=batch.remaining) == batch

import dataclasses
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_cuda import fake_cuda
from torch import nn

from fastffdi.errors import RunError
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.loader import DeviceLoader, Prepared
from fastffdi.loaders.mix import Mixer
from fastffdi.model import precision
from fastffdi.recipe.kernels import Normalize
from fastffdi.recipe.mix import Mix
from fastffdi.recipe.program import Program
from fastffdi.recipe.rng import CounterRNG
from fastffdi.render.device.stage import DeviceStage
from fastffdi.training import measures
from fastffdi.training.loop import Trainer
from fastffdi.training.optimiser import Optimiser
from fastffdi.training.place import Place

pytestmark = pytest.mark.usefixtures("one_thread")

CPU, OFF = torch.device("cpu"), precision.Precision("off", "")
PROGRAM = Program.of((Normalize((0.5,) * 3, (0.25,) * 3),))


class Images:
    """A loader of grey images, 60 where real and 180 where fake; `spoilt` rows are placeholders."""

    def __init__(self, rows=24, batch_size=4, spoilt=()):
        self.rows, self.batch_size, self.spoilt = rows, batch_size, spoilt

    def __len__(self):
        return -(-self.rows // self.batch_size)

    def close(self):
        pass

    def epoch(self, epoch, start=0):
        return self.of(epoch)

    def of(self, epoch):
        for first in range(0, self.rows, self.batch_size):
            rows = np.arange(first, min(first + self.batch_size, self.rows))
            yield self.batch(rows, epoch)

    def batch(self, rows, epoch):
        values = torch.from_numpy(60 + 120 * (rows % 2)).to(torch.uint8)
        valid = ~np.isin(rows, self.spoilt)
        values[~torch.from_numpy(valid)] = 255
        images = values[:, None, None, None].expand(-1, 6, 6, 3).contiguous()
        return Batch(images, rows % 2, rows, 0 * rows, valid, epoch, PROGRAM)

    @property
    def labels(self):
        return np.arange(self.rows) % 2


def network(bias=0.0):
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    with torch.no_grad():
        model[2].weight.zero_()
        model[2].bias.copy_(torch.tensor([0.0, bias]))
    return model


def trainer_of(model, rate=0.1, updates=24):
    return Trainer(model, OFF, Optimiser(model, rate, updates, OFF.scaler()), CPU)


def fitted(trainer, train=None, val=None, epochs=1, progress=lambda images, means: None, mixer=None):
    train, val, stage = train or Images(), val or Images(), DeviceStage(CPU, torch.float32)
    loaders = DeviceLoader(train, stage, mixer), DeviceLoader(val, stage)
    return list(trainer.fit(*loaders, val.labels, epochs, progress))


def test_what_differs_is_learnt():
    results = fitted(trainer_of(network()), epochs=4)
    assert [result.epoch for result in results] == [0, 1, 2, 3]
    assert results[0].train_loss > results[1].train_loss > results[3].train_loss
    assert results[3].train_loss < 0.5
    assert results[3].train_accuracy == 1
    assert results[3].validation["auc"] == 1


@pytest.mark.parametrize(("rows", "first"), [(24, 3), (8, 1), (4, 1)])
def test_a_loader_begins_before_the_other_one_ends(rows, first):
    events = []

    class Told(Images):
        def __init__(self, name):
            super().__init__(rows)
            self.name = name

        def epoch(self, epoch, start=0):
            events.append((self.name, epoch))
            return self.of(epoch)

    fitted(trainer_of(network()), Told("train"), Told("val"), 2, lambda *seen: events.append("batch"))
    count = rows // 4
    before, after = ["batch"] * (first - 1), ["batch"] * (count - first + 1)
    turns = [("val", 0), ("train", 1), ("val", 0)]
    expected = [("train", 0)]
    for turn in turns:
        expected += [*before, turn, *after]
    assert events == [*expected, *["batch"] * count]


def test_the_figures_of_a_model_that_stands_still_are_its_own():
    (result,) = fitted(trainer_of(network(bias=1.0), rate=1e-12))
    # P(fake) is σ(1) for every image.
    expected = -(np.log(1 / (1 + np.exp(-1))) + np.log(1 / (1 + np.exp(1)))) / 2
    assert result.train_loss == pytest.approx(expected, rel=1e-5)
    assert result.train_accuracy == 0.5
    assert result.validation["log_loss"] == pytest.approx(expected, rel=1e-5)
    assert result.validation["auc"] == 0.5


def test_a_short_last_batch_counts_by_its_images():
    (result,) = fitted(trainer_of(network(bias=1.0), rate=1e-12), Images(rows=5))
    # Rows 0, 2 and 4 are real.
    expected = -(2 * np.log(1 / (1 + np.exp(-1))) + 3 * np.log(1 / (1 + np.exp(1)))) / 5
    assert result.train_loss == pytest.approx(expected, rel=1e-5)


def test_placeholders_teach_nothing_and_count_for_nothing():
    spoilt, whole = network(), network()
    (with_placeholders,) = fitted(trainer_of(spoilt, updates=2), Images(8, 4, spoilt=(2, 3, 6, 7)))
    (without,) = fitted(trainer_of(whole, updates=2), _First(8, 4))
    assert with_placeholders.train_loss == pytest.approx(without.train_loss)
    assert torch.allclose(spoilt[2].weight, whole[2].weight)


class _Twice(Images):
    """Every image in two views, of its own pixel value and of 120."""

    def batch(self, rows, epoch):
        batch = super().batch(rows, epoch)
        grey = torch.full_like(batch.images, 120)
        images = torch.stack([batch.images, grey], dim=1).flatten(0, 1)
        return dataclasses.replace(batch, images=images, views=2)


def test_every_view_of_an_image_teaches_its_label():
    (result,) = fitted(trainer_of(network(bias=1.0), rate=1e-12), _Twice(rows=5), Images(4))
    # Rows 0, 2 and 4 are real, in both views.
    expected = -(2 * np.log(1 / (1 + np.exp(-1))) + 3 * np.log(1 / (1 + np.exp(1)))) / 5
    assert result.train_loss == pytest.approx(expected, rel=1e-5)
    assert result.train_accuracy == pytest.approx(2 / 5)


def test_views_count_as_one_image_for_progress_and_as_their_mean_for_validation():
    seen = []
    (result,) = fitted(trainer_of(network()), _Twice(8), _Twice(8), 1, lambda *step: seen.append(step[0]))
    assert seen == [4, 4, 4, 4]
    assert result.validation["auc"] in (0, 1)


def test_views_are_mixed_with_views_of_other_images():
    mixer = Mixer(Mix(mixup=1.0), CounterRNG(0))
    (result,) = fitted(trainer_of(network(bias=20.0), rate=1e-12), _Twice(4, 2), mixer=mixer)
    # Every image's neighbour has the other label, so that half the label mass is fake whatever the shares.
    assert 0 < result.train_accuracy < 1
    assert result.train_loss == pytest.approx(20 * (1 - result.train_accuracy), rel=1e-4)


def test_the_last_epochs_are_not_mixed_where_the_recipe_says_so():
    mixer = Mixer(Mix(mixup=1.0), CounterRNG(0), until=2)
    results = fitted(trainer_of(network(bias=20.0), rate=1e-12), epochs=3, mixer=mixer)
    assert [result.train_accuracy == 0.5 for result in results] == [False, False, True]


class _First(Images):
    """The first two images of every batch."""

    def batch(self, rows, epoch):
        return super().batch(rows[:2], epoch)


def test_a_batch_of_placeholders_alone_is_no_mistake():
    (result,) = fitted(trainer_of(network()), Images(8, 4, spoilt=(0, 1, 2, 3)))
    assert np.isfinite(result.train_loss)


class Recorded:
    """A mixer that changes no image, swaps every label and gives `share` to the image's own."""

    def __init__(self, share):
        self.share = share

    def __call__(self, images, labels, batch):
        return images, 1 - labels, torch.full((len(labels),), self.share)


def test_mixed_labels_decide_loss_and_accuracy():
    model = network(bias=20.0)  # certain that all are fake
    (result,) = fitted(trainer_of(model, rate=1e-12), mixer=Recorded(0.75))
    assert result.train_loss == pytest.approx(20 * 0.5, rel=1e-4)
    assert result.train_accuracy == pytest.approx(0.5)
    (result,) = fitted(trainer_of(model, rate=1e-12), Images(4, 2, spoilt=(1, 3)), mixer=Recorded(0.75))
    assert result.train_loss == pytest.approx(20 * 0.75, rel=1e-4)
    assert result.train_accuracy == pytest.approx(0.25)


def test_validation_is_never_mixed():
    (result,) = fitted(trainer_of(network(bias=20.0), rate=1e-12), mixer=Recorded(0.0))
    assert result.validation["accuracy"] == 0.5
    assert result.validation["log_loss"] == pytest.approx(-np.log(1e-7) / 2, rel=1e-4)


def test_the_rate_of_an_epoch_is_the_highest_of_its_updates():
    trainer = trainer_of(network(), rate=0.1, updates=12)
    first, second = fitted(trainer, epochs=2)  # six updates each, of which the first two warm up
    assert first.learning_rate == pytest.approx(0.1)
    falling = 1e-4 + (0.1 - 1e-4) * (1 + math.cos(math.pi * 4 / 10)) / 2
    assert second.learning_rate == pytest.approx(falling, rel=0.15)
    assert trainer.optimiser.learning_rate == pytest.approx(0.0001)


def test_progress_counts_all_images_and_shows_means_now_and_then():
    seen = []
    fitted(trainer_of(network()), Images(47), Images(10), progress=lambda *step: seen.append(step))
    assert [images for images, _ in seen] == [4] * 11 + [3] + [4, 4, 2]
    shown = {k: means.keys() for k, (_, means) in enumerate(seen) if means is not None}
    assert shown == {10: {"loss", "accuracy", "gradient_norm"}}


def test_speed_and_waiting_are_measured_in_the_training_part(monkeypatch):
    # A second passes between two looks at the clock: one while a batch is waited for, one while it is used.
    seconds = itertools.count()
    monkeypatch.setattr(measures, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    (result,) = fitted(trainer_of(network()), _Twice(10), Images(8))
    assert result.images_per_second == pytest.approx(10 / 7)  # two views are one image
    assert result.wait_share == pytest.approx(3 / 7)


class Losses:
    """An optimiser that updates nothing; of every loss it keeps the value, and the gradient of the biases."""

    learning_rate = 0.1

    def __init__(self, bias):
        self.bias, self.values, self.gradients = bias, [], []

    def step(self, loss):
        assert loss.dtype == torch.float32
        self.values.append(loss.item())
        self.gradients.append(torch.autograd.grad(loss, self.bias)[0].tolist())
        return torch.tensor(1.0)


def losses_of(images, name="off", mixer=None):
    """What the optimiser is given by a model with the logits 0 and 0.75 for all images."""
    model, numbers = network(bias=0.75), precision.Precision(name, "")
    seen = Losses(model[2].bias)
    loader = DeviceLoader(images, DeviceStage(CPU, numbers.dtype), mixer)
    Trainer(model, numbers, seen, CPU).train_epoch(loader, Place(CPU), lambda images, means: None)
    return seen


FAKE = 1 / (1 + math.exp(-0.75))  # P(fake) of those logits


@pytest.mark.parametrize("name", ["off", "bf16"])
def test_the_loss_is_the_mean_over_valid_images_in_single_precision(name):
    # Rows 0, 1 and 2 of the first batch count, 5 of the second.
    seen = losses_of(Images(8, 4, spoilt=(3, 4, 6, 7)), name)
    mean = -(2 * math.log(1 - FAKE) + math.log(FAKE)) / 3
    assert seen.values == pytest.approx([mean, -math.log(FAKE)], rel=1e-5)
    slope = FAKE - 1 / 3
    expected = [[-slope, slope], [1 - FAKE, FAKE - 1]]
    np.testing.assert_allclose(seen.gradients, expected, rtol=1e-2 if name == "bf16" else 1e-5)


def test_the_loss_of_mixed_labels_is_the_mean_of_both_labels_losses():
    (value,) = losses_of(Images(2, 2), mixer=Recorded(0.75)).values
    assert value == pytest.approx(-(math.log(1 - FAKE) + math.log(FAKE)) / 2, rel=1e-5)
    (value,) = losses_of(Images(1, 1), mixer=Recorded(0.75)).values
    assert value == pytest.approx(-(0.75 * math.log(1 - FAKE) + 0.25 * math.log(FAKE)), rel=1e-5)


def test_batches_come_from_the_epoch_that_is_trained():
    asked = []
    train, val = Images(8), Images(4)
    for images, name in ((train, "train"), (val, "val")):

        def begun(epoch, start=0, name=name, of=images):
            asked.append((name, epoch))
            return of.of(epoch)

        images.epoch = begun
    fitted(trainer_of(network()), train, val, epochs=3)
    assert asked == [("train", 0), ("val", 0), ("train", 1), ("val", 0), ("train", 2), ("val", 0)]


def test_the_forward_pass_computes_in_the_precision_chosen():
    seen = []

    class Watching(nn.Linear):
        def forward(self, images):
            seen.append((self.training, images.dtype, torch.is_autocast_enabled("cpu")))
            return super().forward(images.mean(dim=(2, 3)))

    model, numbers = Watching(3, 2), precision.Precision("bf16", "")
    stage = DeviceStage(CPU, numbers.dtype)
    trainer = Trainer(model, numbers, Optimiser(model, 0.1, 2, numbers.scaler()), CPU)
    list(trainer.fit(*[DeviceLoader(Images(4), stage) for _ in range(2)], np.arange(4) % 2, 1, print))
    assert seen == [(True, torch.bfloat16, True), (False, torch.bfloat16, True)]


def test_the_model_learns_in_training_mode_and_is_judged_in_eval_mode():
    model, modes = network(), []
    model.register_forward_hook(lambda module, *_: modes.append(module.training))
    fitted(trainer_of(model), Images(8), Images(4), epochs=2)
    assert modes == [True, True, False] * 2


class Breaking(nn.Module):
    """Logits that are not numbers, in training or when it is judged."""

    def __init__(self, training):
        super().__init__()
        self.weight, self.when = nn.Parameter(torch.zeros(2)), training

    def forward(self, images):
        logits = self.weight.expand(len(images), 2)
        return logits * float("nan") if self.training == self.when else logits


def test_a_loss_that_is_not_a_number_ends_the_run():
    with pytest.raises(
        RunError, match=r"^epoch 1, batch 1: the loss is nan; lower --lr, set --amp off, or set clip"
    ):
        fitted(trainer_of(Breaking(training=True)))


def test_scores_that_are_not_numbers_end_the_run():
    with pytest.raises(RunError, match=r"^epoch 1: the model's scores are not finite; lower --lr$"):
        fitted(trainer_of(Breaking(training=False)))


class Event:
    """Stands in for a CUDA event that has come to pass."""

    def query(self):
        return True


@pytest.mark.parametrize("mixed", [False, True])
def test_on_cuda_a_steps_loss_and_the_means_wait_for_nothing(monkeypatch, mixed):
    monkeypatch.setattr(measures, "recorded_event", lambda device: Event())
    with fake_cuda() as device:
        model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2, device=device))
        # Without its update: torch's autograd asks for a real device.
        losses = []
        trainer = Trainer(model, OFF, SimpleNamespace(step=lambda loss: losses.append(loss) or loss), device)
        means = measures.RunningMeans(("loss", "accuracy", "gradient_norm"), device)
        images, valid = torch.zeros(4, 3, 6, 6, device=device), torch.ones(4, device=device)
        labels = torch.zeros((4, 2) if mixed else 4, dtype=None if mixed else torch.int64, device=device)
        for _ in range(2):
            sums = trainer._step(Prepared(images, labels, valid))
            means.add(*sums)
            means.peek()
        assert [(x.device, x.shape) for x in (*sums, *losses)] == [(device, ())] * 6

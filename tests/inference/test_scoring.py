import numpy as np
import pytest
import torch
from brightness import Brightness
from torch import nn

from fastffdi.inference.scoring import Scorer
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.model.precision import Precision
from fastffdi.recipe.kernels import Normalize
from fastffdi.recipe.program import Program
from fastffdi.render.device.stage import DeviceStage

CPU = torch.device("cpu")
PROGRAM = Program.of((Normalize((0.0,) * 3, (1.0,) * 3),))


class Images:
    """Batches of the rows given, of images of the pixel value 10 · row + view."""

    def __init__(self, *batches, views=1):
        self.batches, self.views = batches, views

    def __len__(self):
        return len(self.batches)

    def close(self):
        pass

    def epoch(self, epoch, start=0):
        for rows in self.batches:
            rows = np.array(rows)
            values = torch.tensor([10 * row + view for row in rows.tolist() for view in range(self.views)])
            images = values.to(torch.uint8)[:, None, None, None].expand(-1, 4, 4, 3).contiguous()
            nothing = np.zeros(len(rows), np.int64)
            yield Batch(images, nothing, rows, nothing, nothing == 0, epoch, PROGRAM, self.views)


def scored(images, count, progress=None, name="off", model=None):
    numbers = Precision(name, "")
    loader = DeviceLoader(images, DeviceStage(CPU, numbers.dtype))
    return Scorer(model or Brightness(), numbers)(loader, count, progress)


def test_scores_are_probabilities_of_fake_by_row():
    scores = scored(Images([2, 0], [3, 1]), 4)
    assert scores.dtype == np.float64
    assert scores == pytest.approx(np.array([1e-6, 10, 20, 30]) / [1, 255, 255, 255], abs=1e-6)


def test_rows_that_are_left_out_have_no_score():
    scores = scored(Images([2, 0]), 4)
    assert np.isnan(scores).tolist() == [False, True, False, True]


def test_nothing_has_no_scores():
    assert scored(Images(), 0).shape == (0,)


def test_views_of_an_image_are_averaged():
    scores = scored(Images([1, 2], [3], views=3), 4)
    assert scores[1:] == pytest.approx(np.array([11, 21, 31]) / 255, abs=1e-6)


def test_progress_counts_the_images_of_each_batch():
    seen = []
    scored(Images([0, 1, 2], [3], views=2), 4, seen.append)
    assert seen == [3, 1]


def test_the_model_is_judged_in_eval_mode_and_without_graphs():
    model, modes = Brightness().train(), []
    model.register_forward_hook(lambda *_: modes.append((model.training, torch.is_inference_mode_enabled())))
    scored(Images([0]), 1, model=model)
    assert modes == [(False, True)]


def test_half_precision_changes_little():
    model = Brightness()
    scores = scored(Images([5, 6, 7]), 8, name="bf16", model=model)
    assert scores[5:] == pytest.approx(np.array([50, 60, 70]) / 255, abs=5e-3)
    assert model.shown == {(torch.bfloat16, True)}


def test_probabilities_are_taken_in_single_precision():
    # In bf16, whose steps below 1 are 1/256, both would be 0.5.
    scores = scored(Images([0, 1]), 2, name="bf16", model=Halves())
    assert scores == pytest.approx([1 / (1 + np.exp(-1 / 1024))] * 2, abs=1e-6)


class Halves(nn.Module):
    """Logits in bf16, 0 and 1/1024."""

    def forward(self, images):
        return torch.tensor([[0.0, 1 / 1024]], dtype=torch.bfloat16).expand(len(images), 2)


def test_the_first_epoch_is_scored():
    images, asked = Images([0]), []
    epoch = images.epoch
    images.epoch = lambda number: (asked.append(number), epoch(number))[1]
    scored(images, 1)
    assert asked == [0]

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fastffdi.errors import SettingError
from fastffdi.model import compilation, precision
from fastffdi.training.objective import CrossEntropy, accuracy, class_weights

pytestmark = pytest.mark.usefixtures("one_thread")

CPU, OFF = torch.device("cpu"), precision.Precision("off", "")
LABELS = torch.tensor([0, 1, 1, 0])
PARTNERS = torch.tensor([1, 1, 0, 0])
SHARE = torch.tensor([0.75, 0.5, 0.125, 1.0])
LOGITS = torch.tensor([[1.0, -0.5], [0.25, 2.0], [3.0, 1.0], [-1.0, 1.0]])
VALID = torch.tensor([1.0, 0.0, 1.0, 1.0])


def soft_targets():
    return SHARE[:, None] * F.one_hot(LABELS, 2) + (1 - SHARE[:, None]) * F.one_hot(PARTNERS, 2)


def test_accuracy_is_the_mass_on_the_prediction():
    # Predicted are 0, 1, 0 and 1: own label, both labels, partner's label, neither.
    assert accuracy(LOGITS, soft_targets()).tolist() == [0.75, 1.0, 0.875, 0.0]


def test_accuracy_without_mixing_is_whether_the_prediction_is_the_label():
    assert accuracy(LOGITS, LABELS).tolist() == [1.0, 1.0, 0.0, 0.0]


class Given(nn.Module):
    """The logits whatever the images."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(LOGITS.clone())

    def forward(self, images):
        return self.logits


@pytest.mark.parametrize("labels", [LABELS, soft_targets()])
def test_sums_are_over_the_valid_images_and_the_mean_has_a_graph(labels):
    model = Given()
    mean, total, correct, count = CrossEntropy(model, OFF, CPU)(torch.empty(0), labels, VALID)
    used = VALID.bool()
    expected = F.cross_entropy(LOGITS[used], labels[used], reduction="sum")
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(correct, accuracy(LOGITS, labels)[used].sum())
    assert count == 3
    torch.testing.assert_close(mean, expected / 3)
    assert not total.requires_grad
    mean.backward()
    assert (model.logits.grad[~used] == 0).all()
    assert (model.logits.grad[used] != 0).all()


def test_of_placeholders_alone_the_mean_is_zero():
    mean, total, correct, count = CrossEntropy(Given(), OFF, CPU)(torch.empty(0), LABELS, 0 * VALID)
    assert [value.item() for value in (mean, total, correct, count)] == [0, 0, 0, 0]


@pytest.mark.parametrize("name", ["off", "bf16"])
@pytest.mark.parametrize("labels", [LABELS, soft_targets()])
def test_it_can_be_compiled(monkeypatch, name, labels):
    monkeypatch.setattr(compilation, "_backend", lambda device: {"backend": "aot_eager", "fullgraph": True})
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    eager = CrossEntropy(model, precision.Precision(name, ""), CPU)
    fast, images = compilation.compiled(eager, CPU), torch.randn(4, 3, 8, 8)
    found = []
    for objective in (eager, fast):
        model.zero_grad()
        mean, *sums = objective(images, labels, VALID)
        mean.backward()
        found.append([mean.detach(), *sums, *(weight.grad for weight in model.parameters())])
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-6 if name == "off" else 1e-2)


@pytest.mark.parametrize("labels", [LABELS, soft_targets()])
def test_smoothing_and_weights_are_torchs_and_the_mean_is_over_images(labels):
    weights = torch.tensor([0.5, 2.0])
    mean, *_ = CrossEntropy(Given(), OFF, CPU, 0.2, weights)(torch.empty(0), labels, VALID)
    expected = F.cross_entropy(LOGITS, labels, weights, reduction="none", label_smoothing=0.2)
    torch.testing.assert_close(mean, expected[VALID.bool()].mean())


def test_weights_make_classes_equal():
    weights = class_weights(np.array([0, 0, 0, 1]), CPU)
    torch.testing.assert_close(weights, torch.tensor([2 / 3, 2.0]))
    assert weights.dtype == torch.float32
    with pytest.raises(SettingError, match=r"^class_weights balanced: "):
        class_weights(np.array([1, 1]), CPU)

import pytest
import torch

from fastffdi.bench import backbone_speed
from fastffdi.bench.backbone_speed import INFERENCE, RUNS, TRAINING, WARM_UP_STEPS, How, Speed, measure
from fastffdi.model import precision

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def how(kind, batch_size=4, amp="off"):
    return How(kind, batch_size, CPU, precision.choose(amp, CPU))


@pytest.fixture
def clock(monkeypatch):
    """Every step takes a second; gives the numbers of steps that were timed, one by one."""
    timed = []

    def seconds(step, steps, device):
        step()
        timed.append(steps)
        return float(steps)

    monkeypatch.setattr(backbone_speed, "_seconds", seconds)
    return timed


@pytest.mark.parametrize("kind", [TRAINING, INFERENCE])
def test_rates_are_images_by_seconds_of_three_runs_after_the_warm_up(clock, kind):
    assert measure("test_resnet", (32, 32), how(kind)) == Speed((4.0,) * 3)
    assert clock == [1] * (WARM_UP_STEPS + RUNS)


def test_runs_are_as_long_as_they_should_be(monkeypatch):
    timed = []
    monkeypatch.setattr(
        backbone_speed, "_seconds", lambda step, steps, device: (timed.append(steps), steps / 100)[1]
    )
    assert measure("test_resnet", (32, 32), how(INFERENCE)).rates == pytest.approx((400.0,) * 3)
    assert timed == [1, 1, 50, 50, 50]


def built(monkeypatch):
    """The model that is measured, as it is kept."""
    models, build = [], backbone_speed.backbone.build
    monkeypatch.setattr(
        "fastffdi.bench.backbone_speed.backbone.build",
        lambda name, pretrained: (models.append(build(name, pretrained)), models[-1])[1],
    )
    return models


def test_training_updates_weights_and_inference_does_not(clock, monkeypatch):
    models = built(monkeypatch)
    for kind in (TRAINING, INFERENCE):
        measure("test_resnet", (32, 32), how(kind))
    trained, used = models
    torch.manual_seed(0)
    fresh = backbone_speed.backbone.build("test_resnet", pretrained=False)
    assert trained.training
    assert not used.training
    new, own, theirs = (model.state_dict() for model in (trained, used, fresh))
    assert not torch.equal(new["fc.weight"], theirs["fc.weight"])
    assert all(torch.equal(own[name], theirs[name]) for name in own)


def test_inference_has_its_weights_cast_as_predict_does(clock, monkeypatch):
    models = built(monkeypatch)
    measure("test_resnet", (32, 32), how(INFERENCE, amp="bf16"))
    assert torch.bfloat16 in {weight.dtype for weight in models[0].parameters()}


def test_a_size_that_the_model_refuses_is_its_problem(clock):
    found = measure("vit_tiny_patch16_224", (32, 48), how(TRAINING))
    assert found.rates == ()
    assert found.problem.startswith("backbone 'vit_tiny_patch16_224' refuses the recipe's images of 32x48")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried …\nmore"), "out of memory with batches of 4"),
        (RuntimeError("first\nsecond"), "first"),
        (ValueError(), "ValueError"),
    ],
)
def test_what_fails_is_told_in_a_line(monkeypatch, error, said):
    def failing(step, steps, device):
        raise error

    monkeypatch.setattr(backbone_speed, "_seconds", failing)
    assert measure("test_resnet", (32, 32), how(TRAINING)) == Speed(problem=said)


def test_plain_data_has_every_run():
    assert Speed((1.0, 3.0, 2.0)).to_data() == {
        "images_per_second": {"median": 2.0, "q25": 1.5, "q75": 2.5},
        "images_per_second_each": [1.0, 3.0, 2.0],
        "problem": None,
    }
    assert Speed(problem="too large").to_data()["problem"] == "too large"


def test_the_sentence_says_what_was_measured():
    assert how(TRAINING).sentence() == (
        "images/s: training on cpu, float32, as asked for, batches of 4 random images of the model's own "
        "size; median and quartiles of 3 runs of about 0.5 s and at least one step."
    )

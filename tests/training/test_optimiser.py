import copy
import itertools

import pytest
import torch
from torch import nn

from fastffdi.errors import SettingError
from fastffdi.training import optimiser as module
from fastffdi.training.optimisation import Optimisation
from fastffdi.training.optimiser import Optimiser

pytestmark = pytest.mark.usefixtures("one_thread")

RATE = 0.02


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 4, 2))


def optimiser_of(model, updates, rate=RATE):
    return Optimiser(model, rate, updates, torch.amp.GradScaler("cuda", enabled=False))


def loss_of(model):
    dtype = next(model.parameters()).dtype
    return model(torch.linspace(-1, 1, 2 * 3 * 4 * 4, dtype=dtype).view(2, 3, 4, 4)).square().sum()


def rates(updates):
    """The rate reported before each update, and after the last."""
    model = network()
    optimiser, reported = optimiser_of(model, updates), []
    for _ in range(updates):
        reported.append(optimiser.learning_rate)
        optimiser.step(loss_of(model))
    return [*reported, optimiser.learning_rate]


def test_the_rate_rises_to_the_full_one_and_falls_to_a_thousandth():
    reported, top = rates(100), 15
    assert reported[0] == pytest.approx(RATE / 100)
    assert reported[top] == pytest.approx(RATE)
    assert reported[-1] == pytest.approx(RATE / 1000)
    assert max(reported) == reported[top]


def test_the_rate_rises_evenly_and_never_falls_back():
    reported, top = rates(100), 15
    steps = [after - before for before, after in itertools.pairwise(reported)]
    assert steps[:top] == pytest.approx([0.99 * RATE / top] * top)
    assert all(step < 0 for step in steps[top:])


def test_the_warm_up_is_rounded():
    reported = rates(10)  # of 1.5 updates, 2
    assert reported.index(max(reported)) == 2


def test_half_way_down_the_cosine_is_at_its_middle():
    reported = rates(100)
    middle = (reported[57] + reported[58]) / 2
    assert middle == pytest.approx(RATE * (1 + 1e-3) / 2, rel=1e-3)


@pytest.mark.parametrize("updates", [1, 2, 3])
def test_a_run_of_few_updates_is_silent_and_has_a_rate(updates, caplog):
    reported = rates(updates)
    assert reported[0] == pytest.approx(RATE / 100)
    assert all(0 < rate <= RATE for rate in reported)
    assert caplog.text == ""


def test_parameters_step_at_the_rate_that_was_reported(monkeypatch):
    model = network()
    optimiser = optimiser_of(model, 10)
    used, step = [], optimiser.inner.step
    monkeypatch.setattr(
        optimiser.inner, "step", lambda: (used.append(optimiser.inner.param_groups[0]["lr"]), step())[1]
    )
    reported = []
    for _ in range(10):
        reported.append(optimiser.learning_rate)
        optimiser.step(loss_of(model))
    assert used == reported


def test_an_update_is_adamws():
    ours, theirs = network(), network()
    optimiser_of(ours, 10).step(loss_of(ours))
    decayed = [weight for weight in theirs.parameters() if weight.dim() > 1]
    others = [weight for weight in theirs.parameters() if weight.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    loss_of(theirs).backward()
    torch.optim.AdamW(groups, lr=RATE / 100, betas=(0.9, 0.999), eps=1e-8).step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_biases_and_norms_do_not_decay():
    model = network()
    groups = optimiser_of(model, 10).inner.param_groups
    decay = {id(weight): group["weight_decay"] for group in groups for weight in group["params"]}
    found = {name: decay[id(weight)] for name, weight in model.named_parameters()}
    unchanged = dict.fromkeys(("0.bias", "1.weight", "1.bias", "3.bias"), 0.0)
    assert found == unchanged | {"0.weight": 0.05, "3.weight": 0.05}


def test_the_optimiser_is_adamw_with_the_usual_constants():
    adamw = optimiser_of(network(), 10).inner
    assert type(adamw) is torch.optim.AdamW
    assert [(group["betas"], group["eps"]) for group in adamw.param_groups] == [((0.9, 0.999), 1e-8)] * 2


@pytest.fixture
def as_on_cuda(monkeypatch):
    """Parameters count as being on CUDA."""
    monkeypatch.setattr(module, "_on_cuda", lambda model: True)


@pytest.mark.parametrize(("device", "expected"), [("cpu", None), ("cuda", True)])
def test_it_is_fused_where_the_parameters_are_on_cuda(monkeypatch, device, expected):
    monkeypatch.setattr(nn.Parameter, "is_cuda", property(lambda self: device == "cuda"), raising=False)
    adamw = optimiser_of(network(), 10).inner
    assert [group["fused"] for group in adamw.param_groups] == [expected] * 2


def updated(updates, scaler=None):
    """The weights after so many updates, in double precision.

    In single precision, rounding alone decides the sign of the gradient of a bias before a batch norm.
    """
    model = network().double()
    optimiser = Optimiser(model, RATE, updates, scaler or torch.amp.GradScaler("cuda", enabled=False))
    for _ in range(updates):
        optimiser.step(loss_of(model))
    return list(model.parameters())


def test_fused_updates_are_the_unfused_ones(monkeypatch):
    plain = updated(20)
    monkeypatch.setattr(module, "_on_cuda", lambda model: True)
    for fused, unfused in zip(updated(20), plain, strict=True):
        torch.testing.assert_close(fused, unfused, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("as_on_cuda")
def test_a_fused_update_takes_the_scale_without_reading_it(monkeypatch):
    expected = updated(5)
    read, item = [], torch.Tensor.item
    monkeypatch.setattr(torch.Tensor, "item", lambda self: (read.append(1), item(self))[1])
    found = updated(5, torch.amp.GradScaler("cpu", init_scale=8.0))
    assert read == []
    for scaled, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(scaled, plain, rtol=0, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_update_is_fused():
    adamw = optimiser_of(network().cuda(), 10).inner
    assert all(group["fused"] for group in adamw.param_groups)


def test_no_gradient_is_left_for_the_next_update():
    model = network()
    optimiser_of(model, 10).step(loss_of(model))
    assert all(weight.grad is None for weight in model.parameters())


class Scaler:
    """Scales by 8 and back, and notes the order of things."""

    def __init__(self):
        self.calls = []

    def scale(self, loss):
        self.calls.append("scale")
        return loss * 8

    def unscale_(self, optimiser):
        self.calls.append("unscale")
        for group in optimiser.param_groups:
            for weight in group["params"]:
                weight.grad /= 8

    def step(self, optimiser):
        self.calls.append("step")
        optimiser.step()

    def update(self):
        self.calls.append("update")


def test_the_scaler_has_its_turns():
    model, scaler = network(), Scaler()
    plain = copy.deepcopy(model)
    Optimiser(model, RATE, 10, scaler).step(loss_of(model))
    optimiser_of(plain, 10).step(loss_of(plain))
    assert scaler.calls == ["scale", "unscale", "step", "update"]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))


def test_the_norm_is_that_of_the_gradient_before_it_is_clipped():
    model, plain = network(), network()
    loss_of(plain).backward()
    expected = torch.cat([weight.grad.flatten() for weight in plain.parameters()]).norm()
    how = Optimisation(
        "momentum", momentum=0.0, weight_decay=0.0, clip_gradient=0.25, schedule="constant", warmup=0.0
    )
    norm = Optimiser(model, RATE, 10, torch.amp.GradScaler("cuda", enabled=False), how).step(loss_of(model))
    torch.testing.assert_close(norm, expected)
    moved = [after - before for after, before in zip(model.parameters(), network().parameters(), strict=True)]
    torch.testing.assert_close(torch.cat([one.flatten() for one in moved]).norm() / RATE, torch.tensor(0.25))


def test_scaled_gradients_are_clipped_at_their_own_size():
    how, found = Optimisation("sgd", clip_gradient=0.25), []
    for scaler in (torch.amp.GradScaler("cpu", init_scale=8.0), torch.amp.GradScaler("cuda", enabled=False)):
        model = network().double()
        norm = Optimiser(model, RATE, 10, scaler, how).step(loss_of(model))
        found.append([norm, *model.parameters()])
    torch.testing.assert_close(found[0], found[1])


def test_weights_that_need_no_gradient_are_left_out():
    model = network()
    model[0].requires_grad_(False)
    groups = optimiser_of(model, 10).inner.param_groups
    assert sum(len(group["params"]) for group in groups) == 4


def test_the_rate_is_that_of_the_topmost_layer():
    import timm

    model = timm.create_model("test_efficientnet", num_classes=2)
    scaler = torch.amp.GradScaler("cuda", enabled=False)
    optimiser = Optimiser(model, RATE, 10, scaler, Optimisation(layer_decay=0.5, warmup=0.0))
    assert optimiser.learning_rate == pytest.approx(RATE)
    assert min(group["lr"] for group in optimiser.inner.param_groups) < RATE / 4


def test_an_optimiser_that_timm_cannot_make_is_refused(monkeypatch):
    def failing(*given, **more):
        raise ValueError("no such\nthing")

    monkeypatch.setattr("timm.optim.create_optimizer_v2", failing)
    with pytest.raises(SettingError, match=r"^optimiser adamw: timm cannot make it \(no such thing\)"):
        optimiser_of(network(), 10)

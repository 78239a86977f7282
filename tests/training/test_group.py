"""Updates of several batches are those of one batch that has all their images."""

import copy

import pytest
import torch
from sync import nothing_waits
from torch import nn

from fastffdi.model.precision import Precision
from fastffdi.training.average import Average
from fastffdi.training.group import Group
from fastffdi.training.objective import CrossEntropy
from fastffdi.training.optimisation import Optimisation
from fastffdi.training.optimiser import Optimiser

pytestmark = pytest.mark.usefixtures("one_thread")

CPU, OFF = torch.device("cpu"), Precision("off", "")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2)).double()


def batch(images, seed=1):
    drawn = torch.Generator().manual_seed(seed)
    valid = torch.ones(images)
    return torch.randn(images, 3, 2, 2, generator=drawn, dtype=torch.float64), torch.arange(images) % 2, valid


def sgd(model):
    return Optimiser(model, 0.1, 10, OFF.scaler(), Optimisation(optimiser="momentum", momentum=0, warmup=0))


def grouped(model, optimiser, parts, valid=None):
    """What the parts of a group return, one batch after the other."""
    group, objective, found = Group(optimiser, 3), CrossEntropy(model, OFF, CPU), []
    for k, part in enumerate(parts):
        mean, _, _, count = objective(*part)
        found.append(group.add(mean, len(part[0]), count, last=k + 1 == len(parts)))
    return found


@pytest.mark.parametrize("sizes", [[4, 4, 4], [4, 4], [4, 4, 1], [4]])
@pytest.mark.parametrize("placeholders", [0, 3])
def test_a_group_is_one_large_batch(sizes, placeholders):
    images, labels, valid = batch(sum(sizes))
    valid[:placeholders] = 0
    one, many = network(), network()
    mean, _, _, count = CrossEntropy(one, OFF, CPU)(images, labels, valid)
    norm = sgd(one).step(mean) * count
    parts = list(zip(images.split(sizes), labels.split(sizes), valid.split(sizes), strict=True))
    found = grouped(many, sgd(many), parts)
    torch.testing.assert_close(sum(found), norm.to(found[-1].dtype), rtol=1e-5, atol=0)
    for a, b in zip(one.parameters(), many.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_of_placeholders_alone_nothing_is_learnt():
    model = network()
    before = copy.deepcopy(model.state_dict())
    optimiser = Optimiser(model, 0.1, 10, OFF.scaler(), Optimisation("momentum", weight_decay=0.0))
    images, labels, valid = batch(4)
    found = grouped(model, optimiser, [(images, labels, 0 * valid)] * 2)
    assert [norm.item() for norm in found] == [0, 0]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_one_group_follows_another():
    model, (images, labels, valid) = network(), batch(4)
    optimiser = sgd(model)
    group, objective = Group(optimiser, 2), CrossEntropy(model, OFF, CPU)
    for k in range(4):
        mean, _, _, count = objective(images, labels, valid)
        group.add(mean, 4, count, last=k % 2 == 1)
        assert optimiser.updates == (k + 1) // 2
        assert all((weight.grad is None) == (k % 2 == 1) for weight in model.parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_updates_wait_for_nothing():
    device, numbers = torch.device("cuda"), Precision("fp16", "")
    model = network().float().to(device)
    optimiser = Optimiser(model, 0.1, 10, numbers.scaler(), Optimisation(clip_gradient=1.0))
    group, average = Group(optimiser, 2), Average(model, 0.9)
    objective = CrossEntropy(model, numbers, device, 0.1, torch.ones(2, device=device))
    images, labels, valid = (tensor.to(device) for tensor in batch(4))

    def update():
        for last in (False, True):
            mean, _, _, count = objective(images.float(), labels, valid)
            group.add(mean, 4, count, last)
        average.update(model, optimiser.updates)

    update()  # which makes the moments
    with nothing_waits():
        update()

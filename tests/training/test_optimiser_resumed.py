"""Every optimiser that a run can have goes on from a state that was saved, to the bit."""

import pytest
import torch
from torch import nn

from fastffdi.training import state
from fastffdi.training.optimisation import Optimisation, optimisers
from fastffdi.training.optimiser import Optimiser
from fastffdi.training.state import State

pytestmark = pytest.mark.usefixtures("one_thread")


def parts_of(name):
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 4, 2)
    model = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    scaler = torch.amp.GradScaler("cuda", enabled=False)
    how = Optimisation(name, clip_gradient=1.0, schedule="one-cycle")
    return {"model": model, "optimiser": Optimiser(model, 0.01, 6, scaler, how)}


def updated(parts):
    images = torch.linspace(-1, 1, 2 * 3 * 4 * 4).view(2, 3, 4, 4)
    for _ in range(3):
        parts["optimiser"].step(parts["model"](images).square().sum())


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", optimisers())
def test_it_goes_on_to_the_bit(tmp_path, name):
    whole, resumed = parts_of(name), parts_of(name)
    updated(whole)
    State.of(whole, 3, {}).save(tmp_path)
    updated(whole)
    (file,) = state.files(tmp_path)
    State.read(file).restore(resumed)
    updated(resumed)
    for a, b in zip(whole["model"].parameters(), resumed["model"].parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.isfinite().all()

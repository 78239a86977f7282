import pytest
import torch
from torch import nn

from fastffdi.training.optimisation import Optimisation
from fastffdi.training.schedule import schedule, warm_up

RATE = 0.2


def rates(updates, per_epoch=1.0, scales=(1.0,), **how):
    """The rates of each group before each update, and after the last."""
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr_scale": scale} for scale in scales]
    optimiser = torch.optim.SGD(groups, RATE)
    one = schedule(optimiser, Optimisation(**how), RATE, updates, per_epoch)
    found = []
    for done in range(updates + 1):
        one.at(done)
        found.append([group["lr"] for group in optimiser.param_groups])
        optimiser.step()
    return found


def only(found):
    return [rate for (rate,) in found]


def test_steps_are_at_the_borders_of_epochs():
    found = only(rates(12, per_epoch=3, schedule="step", decay_every=2, decay_rate=0.5, warmup=0))
    assert found == pytest.approx([RATE] * 6 + [RATE / 2] * 6 + [RATE / 4])


def test_a_warm_up_moves_no_step():
    found = only(rates(12, per_epoch=3, schedule="step", decay_every=2, decay_rate=0.5, warmup=0.25))
    assert found[0] == pytest.approx(RATE / 100)
    assert found[3:] == pytest.approx([RATE] * 3 + [RATE / 2] * 6 + [RATE / 4])


def test_a_constant_rate_is_constant_after_its_warm_up():
    found = only(rates(10, schedule="constant", warmup=0.3))
    assert found[:3] == pytest.approx([RATE / 100, 0.34 * RATE, 0.67 * RATE])
    assert found[3:] == pytest.approx([RATE] * 8)


def test_a_linear_one_falls_evenly_to_a_thousandth():
    found = only(rates(11, schedule="linear", warmup=0.1))
    steps = [found[k] - found[k + 1] for k in range(1, 11)]
    assert found[1] == pytest.approx(RATE)
    assert steps == pytest.approx([0.999 * RATE / 10] * 10)


def test_one_cycle_rises_and_falls_along_cosines():
    found = only(rates(20, schedule="one-cycle", warmup=0.5))
    top = found.index(max(found))
    assert (found[0], found[-1]) == pytest.approx((RATE / 100, RATE / 1000))
    assert top in (9, 10)
    assert found[:top] == sorted(found[:top])
    assert found[top:] == sorted(found[top:], reverse=True)


@pytest.mark.parametrize("name", ["cosine", "linear", "step", "one-cycle", "constant"])
def test_layers_keep_their_share_of_the_rate(name):
    for small, large in rates(8, schedule=name, scales=(0.25, 1.0)):
        assert small == pytest.approx(large / 4)


@pytest.mark.parametrize("name", ["cosine", "linear", "step", "one-cycle", "constant"])
@pytest.mark.parametrize("updates", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0.0, 0.15, 0.99])
def test_a_run_of_few_updates_has_rates(name, updates, warmup):
    assert all(0 < rate <= RATE * (1 + 1e-9) for rate in only(rates(updates, schedule=name, warmup=warmup)))


@pytest.mark.parametrize(("share", "updates", "rising"), [(0, 100, 0), (0.15, 2, 1), (0.15, 100, 15)])
def test_a_warm_up_is_of_one_update_at_least_where_there_is_one(share, updates, rising):
    assert warm_up(Optimisation(warmup=share), updates) == rising

import numpy as np
import pytest
import torch
from torch import nn

from fastffdi.bench.baseline import LEARNING_RATE, TutorialLoop, build
from fastffdi.bench.phases import PHASES, PhaseTimer
from fastffdi.loaders.batch import Batch
from fastffdi.recipe.program import Program

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def batches():
    """Batches of 3 rows as the stock loader gives them: a view of a contiguous (N, 3, H, W) tensor."""
    rng = torch.Generator().manual_seed(3)
    while True:
        images = torch.randn(3, 3, 4, 4, generator=rng).permute(0, 2, 3, 1)
        whole = np.arange(3)
        yield Batch(images, np.array([0, 1, 1]), whole, whole, whole >= 0, 0, Program(()), 0)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 2))


def by_hand(steps):
    model, stream = network(), batches()
    optimiser = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    for _ in range(steps):
        batch = next(stream)
        loss = nn.functional.cross_entropy(
            model(batch.images.permute(0, 3, 1, 2)), torch.from_numpy(batch.labels)
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model[1].weight


def test_it_trains_as_the_loop_written_by_hand():
    model = network()
    assert TutorialLoop(model, batches(), CPU).train(5, PhaseTimer(CPU)) > 0
    torch.testing.assert_close(model[1].weight, by_hand(5), rtol=0, atol=0)


def test_every_phase_ends_once_a_step():
    phases = []
    timer = PhaseTimer(CPU)
    timer.end = phases.append
    TutorialLoop(network(), batches(), CPU).train(2, timer)
    assert phases == [*PHASES, *PHASES]


def test_images_are_contiguous_as_the_data_loader_gives_them():
    model, seen = network(), []
    model.register_forward_pre_hook(lambda module, given: seen.append(given[0].is_contiguous()))
    TutorialLoop(model, batches(), CPU).train(1, PhaseTimer(CPU))
    assert seen == [True]


def test_what_it_sets_for_cudnn_is_put_back():
    before = torch.backends.cudnn.benchmark
    TutorialLoop(network(), batches(), CPU).train(1, PhaseTimer(CPU))
    assert torch.backends.cudnn.benchmark == before


def test_the_model_is_timms_in_float32_and_in_no_special_memory_format():
    model = build("test_efficientnet.r160_in1k", CPU)
    weight = model.conv_stem.weight
    assert (weight.dtype, weight.is_contiguous()) == (torch.float32, True)
    assert model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 2)

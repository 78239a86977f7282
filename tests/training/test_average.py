import pytest
import torch
from torch import nn

from fastffdi.training.average import Average


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)).to(memory_format=torch.channels_last)


def test_it_follows_the_weights_slowly_and_leaves_them_alone():
    model = network()
    average = Average(model, 0.9)
    values = []
    for update in range(1, 6):
        with torch.no_grad():
            model[0].weight.fill_(update)
        average.update(model, update)
        assert (model[0].weight == update).all()
        values.append(average.model[0].weight[0, 0, 0, 0].item())
    # The decay of update n + 1 is that of timm's warm-up, 1 - (1 + n)^(-2/3).
    expected = [1.0]
    for n in range(1, 5):
        decay = min(0.9, 1 - (1 + n) ** (-2 / 3))
        expected.append(decay * expected[-1] + (1 - decay) * (n + 1))
    assert values == pytest.approx(expected)


def test_statistics_are_averaged_and_counts_are_copied():
    model = network()
    average = Average(model, 0.5)
    average.update(model, 1)
    model.train()(torch.ones(2, 3, 4, 4))
    before = average.model[1].running_mean.clone()
    average.update(model, 1000)
    torch.testing.assert_close(average.model[1].running_mean, (before + model[1].running_mean) / 2)
    assert average.model[1].num_batches_tracked == 1


def test_it_is_in_eval_mode_and_has_the_models_names():
    model = network().train()
    average = Average(model, 0.9)
    assert not average.model.training
    assert average.model.state_dict().keys() == model.state_dict().keys()
    assert not any(weight.requires_grad for weight in average.model.parameters())
    assert all(weight.requires_grad for weight in model.parameters())

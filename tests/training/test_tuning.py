import pytest
import timm
import torch
from torch import nn

from fastffdi.errors import SettingError
from fastffdi.training.tuning import Tuning

HEAD = {"classifier.weight", "classifier.bias"}


def model_of(name="test_efficientnet"):
    return timm.create_model(name, num_classes=2)


def trained(model):
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


def modes(model):
    return {name for name, module in model.named_modules() if module.training}


def test_all_is_all_in_training_mode():
    model = model_of()
    tuning = Tuning(model)
    tuning.begin(0)
    assert trained(model) == {name for name, _ in model.named_parameters()}
    assert modes(model) == {name for name, _ in model.named_modules()}
    assert tuning.described() is None


def test_a_backbone_that_is_frozen_stays_as_it_is():
    model = model_of()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tuning = Tuning(model, "head")
    tuning.begin(0)
    assert trained(model) == HEAD
    assert modes(model) == {"classifier"}
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert {name for name, weight in model.named_parameters() if weight.grad is not None} == HEAD
    assert tuning.described() == "training 514 of 99,710 parameters (head)"


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit", "test_convnext"])
def test_norm_layers_are_those_that_are_called_so(name):
    model = model_of(name)
    Tuning(model, "norm").begin(0)
    kinds = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm)
    norms = {
        f"{prefix}.{own}"
        for prefix, module in model.named_modules()
        if isinstance(module, kinds)
        for own, _ in module.named_parameters(recurse=False)
    }
    head = {f"{model.pretrained_cfg['classifier']}.{own}" for own in ("weight", "bias")}
    assert trained(model) == norms | head
    assert "" in modes(model)


def test_a_head_alone_is_trained_before_the_rest():
    model = model_of()
    tuning = Tuning(model, "all", freeze=2)
    assert len(trained(model)) > 2  # for an optimiser that takes them all
    seen = []
    for epoch in range(3):
        tuning.begin(epoch)
        seen.append((len(trained(model)), model.training))
    total = len(list(model.parameters()))
    assert seen == [(2, False), (2, False), (total, True)]
    said = "training 514 of 99,710 parameters (head) in the first 2 epochs, then 99,710 (all)"
    assert tuning.described() == said


def test_what_a_backbone_never_trains_stays_untrained():
    model = model_of()
    model.conv_stem.weight.requires_grad_(False)
    Tuning(model, "all", freeze=1).begin(1)
    assert "conv_stem.weight" not in trained(model)
    assert "conv_head.weight" in trained(model)


def test_a_backbone_without_norm_layers_is_refused():
    class Plain(nn.Sequential):
        def get_classifier(self):
            return self[-1]

    with pytest.raises(SettingError, match=r"^tune norm: the backbone has no norm layers"):
        Tuning(Plain(nn.Conv2d(3, 2, 1), nn.Linear(2, 2)), "norm")


def test_two_heads_are_both_the_head():
    model = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=2)
    Tuning(model, "head").begin(0)
    assert trained(model) == {f"{head}.{own}" for head in ("head", "head_dist") for own in ("weight", "bias")}

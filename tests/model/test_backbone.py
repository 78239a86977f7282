import time
from typing import ClassVar

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from timm.models import get_pretrained_cfg
from torch import nn

from fastffdi.errors import SettingError
from fastffdi.model.backbone import Preprocessing, build, check_input, load_recipe, preprocessing

HALF = (0.5, 0.5, 0.5)


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A hub nobody listens at, and an empty cache: returns the cache folder."""
    address = "http://127.0.0.1:9"
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_preprocessing_is_the_backbones_own():
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert preprocessing("efficientnet_b0") == Preprocessing((224, 224), *imagenet)
    assert preprocessing("tf_efficientnet_lite0") == Preprocessing((224, 224), HALF, HALF)
    assert preprocessing("test_vit") == Preprocessing((160, 160), HALF, HALF)


def test_a_size_is_height_and_width(monkeypatch):
    config = {"input_size": (3, 100, 200), "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    monkeypatch.setattr("timm.data.resolve_data_config", lambda pretrained_cfg: config)
    assert preprocessing("test_vit") == Preprocessing((100, 200), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


@pytest.mark.parametrize(("backbone", "size"), [("efficientnet_b0", (224, 224)), (None, (256, 256))])
def test_a_recipe_has_the_backbones_size_mean_and_std_in_place_of_the_word(tmp_path, backbone, size):
    steps = "[resize: {size: backbone}, normalize: {mean: backbone, std: backbone}]"
    (tmp_path / "mine.yaml").write_text(f"train: {steps}\neval: {steps}\n")
    recipe = load_recipe(str(tmp_path / "mine.yaml"), backbone)
    for resize, normalize in (recipe.train, recipe.eval):
        assert resize.size == size
        assert (normalize.mean, normalize.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_backbone_gives_two_logits_from_channels_last_memory():
    model = build("test_resnet", pretrained=False)
    weight = next(w for w in model.parameters() if w.dim() == 4 and w.shape[1] > 1 and w.shape[2] > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 2)


def assert_quiet(head):
    """Weights with a standard deviation of 0.02, biases of 0."""
    assert 0.017 < head.weight.std().item() < 0.023
    assert head.bias.tolist() == [0.0, 0.0]


def test_a_new_head_starts_with_small_weights():
    assert_quiet(build("test_efficientnet", pretrained=False).classifier)
    assert_quiet(build("test_vit", pretrained=False).head)


def test_an_unknown_backbone_is_answered_with_near_names():
    with pytest.raises(
        SettingError, match=r"unknown backbone 'efficentnet_b0', did you mean 'efficientnet_b0'"
    ):
        build("efficentnet_b0", pretrained=False)


@pytest.mark.parametrize("name", ["", "qqqqqq", "hf-hub:someone/model", "../folder"])
def test_what_is_no_timm_name_is_refused(name):
    with pytest.raises(SettingError, match="unknown backbone"):
        build(name, pretrained=False)


def test_a_name_timm_gave_up_is_answered_with_the_new_one():
    with pytest.raises(SettingError, match=r"timm calls it 'tf_efficientnet_b0.ns_jft_in1k' now"):
        preprocessing("tf_efficientnet_b0_ns")


def test_an_unknown_tag_is_answered_with_the_nearest():
    expected = "no pretrained weights named 'r16_in1k', did you mean 'test_resnet.r160_in1k'"
    with pytest.raises(SettingError, match=expected):
        build("test_resnet.r16_in1k", pretrained=True)


def test_a_tag_does_not_matter_without_pretrained_weights():
    assert build("test_resnet.r160_in1k", pretrained=False).num_classes == 2


def test_weights_nobody_published_are_said_to_be_so():
    name = next(name for name in timm.list_models() if not get_pretrained_cfg(name).has_weights)
    with pytest.raises(SettingError, match=f"'{name}' has no published pretrained weights; give a file"):
        build(name, pretrained=True)


def test_an_unreachable_hub_is_an_error_at_once_and_names_both_ways_out(no_hub):
    start = time.monotonic()
    with pytest.raises(SettingError) as caught:
        build("test_resnet", pretrained=True)
    message = str(caught.value)
    assert message.startswith(
        "pretrained weights of 'test_resnet' cannot be fetched (the hub cannot be reached"
    )
    assert "--weights FILE" in message
    assert "--no-pretrained" in message
    assert "\n" not in message
    assert time.monotonic() - start < 10


def test_the_hub_is_given_five_seconds(no_hub, monkeypatch):
    def slow(url, timeout):
        raise OSError(f"no answer in {timeout} s")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", slow)
    with pytest.raises(SettingError, match=r"the hub cannot be reached: no answer in 5\.0 s"):
        build("test_resnet", pretrained=True)


def test_cached_pretrained_weights_need_no_hub(no_hub):
    source = build("test_resnet", pretrained=False).state_dict()
    snapshot = no_hub / "models--timm--test_resnet.r160_in1k" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("0123")
    save_file({name: tensor.contiguous() for name, tensor in source.items()}, snapshot / "model.safetensors")
    model = build("test_resnet", pretrained=True)
    assert torch.equal(model.state_dict()["conv1.0.weight"], source["conv1.0.weight"])
    assert_quiet(model.get_classifier())


def test_a_weights_file_takes_the_place_of_the_hub(no_hub, tmp_path):
    source = build("test_resnet", pretrained=False)
    torch.save(source.state_dict(), tmp_path / "source.pth")
    said: list[str] = []
    model = build("test_resnet", pretrained=True, weights=tmp_path / "source.pth", say=said.append)
    assert torch.equal(model.state_dict()["conv1.0.weight"], source.state_dict()["conv1.0.weight"])
    assert said == [f"source.pth: {len(source.state_dict())} tensors matched by name; head kept"]


def test_a_backbone_of_fixed_size_refuses_another_and_names_its_own():
    model = build("test_coatnet", pretrained=False)
    check_input(model, (160, 160))
    with pytest.raises(
        SettingError, match=r"'test_coatnet' refuses .* 256x256 \(.*\); it wants 160x160"
    ) as caught:
        check_input(model, (256, 256))
    assert "write 'size: backbone' in the recipe" in str(caught.value)


def test_trying_an_image_leaves_no_trace():
    model = build("test_resnet", pretrained=False).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    check_input(model, (64, 96))
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class Picky(nn.Module):
    """A model in float64 that gives the logits it is made with, or refuses what it is given."""

    pretrained_cfg: ClassVar = {"architecture": "picky", "input_size": (3, 30, 50)}

    def __init__(self, logits=None):
        super().__init__()
        self.weight, self.logits = nn.Parameter(torch.zeros(1, dtype=torch.float64)), logits

    def forward(self, images):
        if self.logits is None:
            raise RuntimeError(f"cannot use {tuple(images.shape)}, {images.dtype}.\nMore")
        return torch.zeros(1, self.logits)


def test_a_refusal_names_sizes_as_height_and_width():
    with pytest.raises(SettingError) as caught:
        check_input(Picky(), (20, 40))
    assert str(caught.value).startswith(
        "backbone 'picky' refuses the recipe's images of 20x40 (cannot use (1, 3, 20, 40), torch.float64); "
        "it wants 30x50; write 'size: backbone' in the recipe"
    )


def test_a_model_without_two_logits_is_refused():
    check_input(Picky(2), (20, 40))
    with pytest.raises(SettingError, match=r"\(its output is \(1, 3\), not two logits\)"):
        check_input(Picky(3), (20, 40))


def test_the_image_that_is_tried_is_where_the_model_is():
    check_input(build("test_resnet", pretrained=False).to("meta"), (64, 96))


def test_residual_branches_are_left_out_at_the_rate_given():
    from timm.layers import DropPath

    rates = {
        name: max(module.drop_prob for module in model.modules() if isinstance(module, DropPath))
        for name in ("test_efficientnet", "test_vit")
        for model in [build(name, pretrained=False, drop_path=0.5)]
    }
    assert all(0.25 < rate <= 0.5 for rate in rates.values())


def test_a_backbone_without_residual_branches_is_refused():
    with pytest.raises(SettingError, match=r"^drop_path: backbone 'vgg11' has no residual branches"):
        build("vgg11", pretrained=False, drop_path=0.1)

import json

import pytest
import timm
import torch

from fastffdi.errors import SettingError
from fastffdi.model import catalogue
from fastffdi.model.catalogue import USUAL, Backbone, counted, find
from fastffdi.model.pretraining import is_allowed


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTFFDI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / f"backbones-timm-{timm.__version__}.json"


def names(*arguments, **options):
    return [one.name for one in find(*arguments, **options)]


def test_a_name_gives_all_its_weights_and_marks_the_default():
    assert find("resnet18d") == [
        Backbone("resnet18d.ra2_in1k", True, (224, 224), "imagenet-1k"),
        Backbone("resnet18d.ra4_e3600_r224_in1k", False, (224, 224), "imagenet-1k"),
    ]


def test_a_name_with_a_tag_gives_one():
    (one,) = find("convnext_tiny.fb_in22k")
    assert one == Backbone("convnext_tiny.fb_in22k", False, (224, 224), "imagenet-22k")


def test_patterns_and_parts_of_names_are_found():
    assert names("levit_1*") == [
        "levit_128.fb_dist_in1k",
        "levit_128s.fb_dist_in1k",
        "levit_192.fb_dist_in1k",
    ]
    assert set(names("evit_192")) == set(names("*evit_192*")) == {"levit_192.fb_dist_in1k"}


def test_models_without_weights_come_last_and_are_no_default():
    found = find("levit*")
    (at,) = (k for k, one in enumerate(found) if one.name == "levit_512")
    assert found[at] == Backbone("levit_512", False, (224, 224), "unknown: timm publishes no weights of it")
    assert all(one.weights_data.startswith("unknown") for one in found[at:])


def test_imagenet1k_only_leaves_out_what_saw_more():
    assert "mobilenetv3_large_100.miil_in21k_ft_in1k" in names("mobilenetv3_large_100")
    assert names("mobilenetv3_large_100", imagenet1k_only=True) == [
        "mobilenetv3_large_100.ra4_e3600_r224_in1k",
        "mobilenetv3_large_100.ra_in1k",
    ]


def test_the_usual_ones_are_there_each_with_weights_that_a_competition_may_allow():
    found = find()
    assert [name for name in USUAL if not timm.is_model(name)] == []
    assert list(dict.fromkeys(one.name.partition(".")[0] for one in found)) == list(USUAL)
    allowed = {one.name.partition(".")[0] for one in found if is_allowed(one.weights_data)}
    assert set(USUAL) - allowed == {"vit_base_patch14_dinov2", "vit_large_patch14_clip_224"}
    assert [one for one in found if is_allowed(one.weights_data)] == find(imagenet1k_only=True)


def refused(*arguments):
    with pytest.raises(SettingError) as caught:
        find(*arguments)
    return str(caught.value)


def test_what_no_model_is_called_is_refused():
    nothing = "no timm model has such a name"
    assert refused("efficientnt_b0") == f"efficientnt_b0: {nothing}, did you mean 'efficientnet_b0'?"
    assert refused("@@") == f"@@: {nothing}; `fastffdi backbones '*'` lists all"


def test_where_none_is_allowed_this_is_said():
    assert refused("vit_base_patch14_dinov2", True).startswith(
        "vit_base_patch14_dinov2: its weights all saw, or may have seen, more than ImageNet-1k; name other"
    )


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_parameters_are_those_of_the_model_that_is_trained(name):
    seen = []
    (one,) = counted(find(name), seen.append)
    model = timm.create_model(name, num_classes=2)
    assert one.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert seen == [one.name]


def test_they_are_counted_without_memory_and_once(cache, monkeypatch):
    built = []
    build = catalogue.backbone.build

    def meta(name, pretrained):
        built.append((name, torch.zeros(1).is_meta))
        return build(name, pretrained)

    monkeypatch.setattr("fastffdi.model.catalogue.backbone.build", meta)
    first, again = counted(find("test_resnet")), counted(find("test_resnet"))
    assert first == again
    assert built == [("test_resnet.r160_in1k", True)]
    assert json.loads(cache.read_text()) == {"test_resnet 160x160": first[0].parameters}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"test_resnet 160x160": "many"}', "[" * 100_000])
def test_a_damaged_file_is_counted_anew(cache, text):
    cache.parent.mkdir()
    cache.write_text(text)
    (one,) = counted(find("test_resnet"))
    assert json.loads(cache.read_text()) == {"test_resnet 160x160": one.parameters}


def test_what_was_counted_before_an_interruption_is_kept(cache):
    def interrupt(name):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        counted(find("test_*net"), interrupt)
    assert len(json.loads(cache.read_text())) == 1


def test_a_model_that_cannot_be_built_without_memory_has_no_number(monkeypatch):
    def failing(name, pretrained):
        raise NotImplementedError("no meta kernel")

    monkeypatch.setattr("fastffdi.model.catalogue.backbone.build", failing)
    (one,) = counted(find("test_resnet"))
    assert one.parameters is None


def test_a_cache_that_cannot_be_written_changes_nothing(cache):
    cache.parent.write_text("a file in its place")
    (one,) = counted(find("test_resnet"))
    assert one.parameters > 100_000


def test_plain_data_says_whether_the_rule_is_kept():
    kept, broken = (Backbone("a.b", True, (8, 9), saw, 7) for saw in ("imagenet-1k", "jft-300m, imagenet-1k"))
    assert kept.to_data() == {
        "name": "a.b",
        "default": True,
        "size": (8, 9),
        "weights_data": "imagenet-1k",
        "parameters": 7,
        "imagenet1k_only": True,
    }
    assert not broken.to_data()["imagenet1k_only"]

import pytest
import timm
from timm.models import get_pretrained_cfg

from fastffdi.errors import SettingError
from fastffdi.model import checkpoint
from fastffdi.model.backbone import build
from fastffdi.model.checkpoint import Checkpoint
from fastffdi.model.pretraining import (
    DATA,
    MORE_THAN_TOLD,
    ONLY_IMAGENET_1K,
    OTHERS,
    TAUGHT,
    check_only_imagenet1k,
    full_name,
    is_allowed,
    of_config,
    of_name,
    of_run,
    of_tag,
)

TEACHER = "unknown: learnt from a teacher, and the name does not tell what that saw"

SAW = {
    "efficientnet_b0.ra_in1k": "imagenet-1k",
    "resnet50.a1_in1k": "imagenet-1k",
    "resnet50.tv2_in1k": "imagenet-1k",
    "tf_efficientnetv2_b0.in1k": "imagenet-1k",
    "mobilenetv4_conv_small.e2400_r224_in1k": "imagenet-1k",
    "hiera_tiny_224.mae_in1k_ft_in1k": "imagenet-1k",
    "flexivit_small.1200ep_in1k": "imagenet-1k",
    "mobilenetv3_large_100.miil_in21k_ft_in1k": "imagenet-21k, imagenet-1k",
    "convnext_tiny.in12k_ft_in1k": "imagenet-12k, imagenet-1k",
    "convnext_tiny.fb_in22k": "imagenet-22k",
    "tf_efficientnet_b0.ns_jft_in1k": "jft-300m, imagenet-1k",
    "resnet18.fb_swsl_ig1b_ft_in1k": "instagram-1b, imagenet-1k",
    "resnet18.fb_ssl_yfcc100m_ft_in1k": "yfcc-100m, imagenet-1k",
    "vit_base_patch14_dinov2.lvd142m": "lvd-142m",
    "vit_base_patch16_clip_224.openai": "openai's wit-400m",
    "vit_base_patch16_clip_224.laion2b_ft_in12k_in1k": "laion-2b, imagenet-12k, imagenet-1k",
    "eva_giant_patch14_224.clip_ft_in1k": "imagenet-1k, CLIP's image-text pairs",
    "vit_base_patch16_siglip_224.webli": "webli",
    # more than the tag tells
    "beitv2_base_patch16_224.in1k_ft_in1k": "imagenet-1k, openai's wit-400m",
    "resnetv2_50x1_bit.goog_distilled_in1k": "imagenet-1k, imagenet-21k",
    "hgnet_tiny.ssld_in1k": "ssld's unlabelled images, imagenet-1k",
    "hrnet_w18_ssld.paddle_in1k": "imagenet-1k, ssld's unlabelled images",
    # from a teacher that a paper names, and from one that nothing names
    "levit_128.fb_dist_in1k": "imagenet-1k",
    "deit_tiny_distilled_patch16_224.fb_in1k": "imagenet-1k",
    "repvit_m1_0.dist_450e_in1k": "imagenet-1k",
    "edgenext_base.usi_in1k": TEACHER,
    "efficientvim_m1_dist.in1k": TEACHER,
    # without labels
    "vit_base_patch16_224.mae": "imagenet-1k",
    "vit_base_patch16_224.dino": "imagenet-1k",
    "convnextv2_nano.fcmae": "imagenet-1k",
    # said by nobody
    "resnet50.bamboo": "unknown: the tag 'bamboo' names no data set that is known here",
    "mobilenetv5_300m.gemma3n": "unknown: the tag 'gemma3n' names no data set that is known here",
}


@pytest.mark.parametrize("name", SAW)
def test_what_weights_saw_is_told_by_their_name(name):
    assert of_name(name) == SAW[name]


@pytest.mark.parametrize("name", SAW)
def test_only_those_that_saw_imagenet_1k_are_allowed(name):
    assert is_allowed(of_name(name)) == (SAW[name] == "imagenet-1k")


def test_a_name_without_a_tag_means_timms_default():
    assert full_name("efficientnet_b0") == "efficientnet_b0.ra_in1k"
    assert of_name("efficientnet_b0") == of_name("efficientnet_b0.ra_in1k")
    assert full_name("convnext_tiny") == "convnext_tiny.in12k_ft_in1k"
    assert of_name("convnext_tiny") == "imagenet-12k, imagenet-1k"


UNKNOWN = [
    ("resnet50", "", 1000, "unknown: the name, without a tag, names no data set that is known here"),
    ("resnet50", "a1", 1000, "unknown: the tag 'a1' names no data set that is known here"),
    (
        "resnet50",
        "sparkling_in1k",
        1000,
        "unknown: the tag 'sparkling_in1k' has the word 'sparkling', whose meaning is not known here",
    ),
    ("resnet50", "fb_dist_in1k", 1000, TEACHER),
    (
        "resnet50",
        "a1_in1k",
        21843,
        "unknown: the tag 'a1_in1k' names ImageNet-1k, and the weights tell 21,843 classes apart",
    ),
    ("repvit_m1", "dist_in22k_ft_in1k", 1000, "imagenet-22k, imagenet-1k"),
]


@pytest.mark.parametrize(("architecture", "tag", "classes", "said"), UNKNOWN)
def test_what_no_table_knows_is_not_taken_for_imagenet_1k(architecture, tag, classes, said):
    assert of_tag(architecture, tag, classes) == said
    assert not is_allowed(said)


def test_an_answer_fits_into_a_checkpoint_and_a_line():
    for tag in ("x" * 999, "in1k_" + "y" * 999, "\n\x1b[2J" * 99):
        answer = of_tag("resnet50", tag)
        assert len(answer) <= 200
        assert answer.isprintable()


def test_all_names_of_the_installed_timm_fit_too():
    configs = {name: get_pretrained_cfg(name).to_dict() for name in timm.list_pretrained()}
    answers = {name: of_config(config) for name, config in configs.items()}
    assert max(map(len, answers.values())) <= 200
    allowed = [name for name, answer in answers.items() if is_allowed(answer)]
    assert len(allowed) > 900
    more = "in12k", "in21k", "in22k", "jft", "ig1b", "clip", "laion", "webli", "dinov", "ssld", "beitv2"
    assert not [name for name in allowed if any(word in name for word in more)]


def test_no_word_has_two_meanings():
    assert not OTHERS & DATA.keys()
    assert not TAUGHT & (OTHERS | DATA.keys())


@pytest.mark.parametrize("pattern", [*ONLY_IMAGENET_1K, *MORE_THAN_TOLD])
def test_every_exception_is_of_weights_that_there_are(pattern):
    assert timm.list_pretrained(pattern)


def test_a_model_without_weights_is_unknown():
    assert of_name("resnet200") == "unknown: timm publishes no weights of it"


def test_an_unknown_name_is_refused():
    with pytest.raises(SettingError, match="unknown backbone 'resnet5O'"):
        of_name("resnet5O")


def test_a_run_from_random_weights_saw_nothing():
    assert of_run("convnext_tiny", False, None) == "nothing"
    assert is_allowed("nothing")


def test_a_run_from_timms_weights_saw_what_they_saw():
    assert of_run("convnext_tiny", True, None) == "imagenet-12k, imagenet-1k"


def saved(path, **record):
    model = build("test_efficientnet", pretrained=False)
    described = Checkpoint("test_efficientnet", {}, (8, 8), (0.5,) * 3, (0.5,) * 3, 0, 0, **record)
    checkpoint.save(described, model, path)
    return path


@pytest.mark.parametrize("pretrained", [True, False])
def test_a_checkpoint_tells_what_its_run_started_from(tmp_path, pretrained):
    path = saved(tmp_path / "own.safetensors", weights_data="jft-300m, imagenet-1k")
    assert of_run("convnext_tiny", pretrained, path) == "jft-300m, imagenet-1k"


def test_an_older_checkpoint_does_not_tell(tmp_path):
    path = saved(tmp_path / "older.safetensors")
    assert of_run("test_efficientnet", True, path) == "unknown: the checkpoint does not tell"


def test_any_other_file_tells_nothing(tmp_path):
    (tmp_path / "state.pth").write_bytes(b"anything")
    assert of_run("resnet18", False, tmp_path / "state.pth") == (
        "unknown: the file is no checkpoint of fastffdi, which alone tells"
    )
    assert of_run("resnet18", False, tmp_path / "absent.pth") == "unknown: no such file"


def refused(saw, backbone, weights=None):
    with pytest.raises(SettingError) as caught:
        check_only_imagenet1k(saw, backbone, weights)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_tutorials_weights_are_refused_with_the_reason_and_what_to_take():
    name = "mobilenetv3_large_100.miil_in21k_ft_in1k"
    assert refused(of_name(name), name) == (
        f"--imagenet1k-only: the weights {name} are refused, they saw imagenet-21k, imagenet-1k; allowed of "
        "this backbone: --backbone mobilenetv3_large_100.ra4_e3600_r224_in1k, "
        "mobilenetv3_large_100.ra_in1k; or take --no-pretrained"
    )


def test_a_default_is_refused_by_its_full_name():
    assert "the weights convnext_tiny.in12k_ft_in1k are refused" in refused(
        of_name("convnext_tiny"), "convnext_tiny"
    )


def test_where_no_weights_of_a_backbone_are_allowed_the_list_of_those_that_are_is_named():
    message = refused(of_name("vit_base_patch14_dinov2"), "vit_base_patch14_dinov2")
    assert message.endswith(
        "they saw lvd-142m; `fastffdi backbones --imagenet1k-only` lists weights that are allowed; or take "
        "--no-pretrained"
    )


def test_an_unknown_file_is_refused_as_such(tmp_path):
    saw = of_run("resnet18", True, tmp_path / "absent.pth")
    message = refused(saw, "resnet18", tmp_path / "absent.pth")
    assert message.startswith(f"--imagenet1k-only: weights {tmp_path}/absent.pth are refused, what they saw")
    assert "saw is unknown (no such file); " in message


@pytest.mark.parametrize("saw", ["imagenet-1k", "nothing"])
def test_imagenet_1k_and_nothing_are_not_refused(saw):
    check_only_imagenet1k(saw, "resnet18", None)

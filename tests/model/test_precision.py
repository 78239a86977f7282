from copy import deepcopy

import pytest
import timm
import torch
from torch import nn

from fastffdi.errors import SettingError
from fastffdi.model import precision
from fastffdi.model.precision import Capabilities, Precision, cast_weights, choose

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("device", "capabilities", "name"),
    [
        (CUDA, Capabilities(cuda_bf16=True), "bf16"),
        (CUDA, Capabilities(cuda_bf16=False, cpu_bf16="AMX"), "fp16"),
        (CPU, Capabilities(cpu_bf16="AMX"), "bf16"),
        (CPU, Capabilities(cpu_bf16="AVX512-BF16"), "bf16"),
        (CPU, Capabilities(cuda_bf16=True), "off"),
        (torch.device("mps"), Capabilities(cpu_bf16="AMX"), "off"),
    ],
)
def test_auto_takes_what_the_device_has(device, capabilities, name):
    assert choose("auto", device, capabilities).name == name


def test_auto_says_why():
    assert choose("auto", CPU, Capabilities(cpu_bf16="AMX")).reason == "bf16, since this CPU has AMX"
    expected = "float32, since this CPU has neither AMX nor AVX512-BF16"
    assert choose("auto", CPU, Capabilities()).reason == expected
    expected = "fp16 with gradient scaling, since this GPU has no bf16"
    assert choose("auto", CUDA, Capabilities()).reason == expected


def test_off_is_float32_whatever_the_device_has():
    chosen = choose("off", CUDA, Capabilities(cuda_bf16=True))
    assert (chosen.name, chosen.dtype) == ("off", torch.float32)


@pytest.mark.parametrize(
    ("device", "capabilities", "reason"),
    [
        (CUDA, Capabilities(cuda_bf16=True), "float32, with TF32 in convolutions, as asked for"),
        (CUDA, Capabilities(cpu_bf16="AMX"), "float32, as asked for"),
        (CPU, Capabilities(cuda_bf16=True), "float32, as asked for"),
    ],
)
def test_off_says_where_convolutions_are_in_tf32(device, capabilities, reason):
    assert choose("off", device, capabilities).reason == reason


def test_fp16_needs_cuda():
    with pytest.raises(
        SettingError, match="--amp fp16: needs a CUDA device, not 'cpu'; use --amp auto, bf16"
    ):
        choose("fp16", CPU)
    assert choose("fp16", CUDA, Capabilities(cuda_bf16=True)).dtype == torch.float16


def test_bf16_needs_a_gpu_that_has_it():
    with pytest.raises(SettingError, match="this GPU has no bf16; use --amp auto, fp16 or off"):
        choose("bf16", CUDA, Capabilities())


def test_bf16_on_a_cpu_without_it_is_allowed_and_said_to_be_slow():
    chosen = choose("bf16", CPU, Capabilities())
    assert chosen.dtype == torch.bfloat16
    assert chosen.reason.endswith("only emulates it: --amp off is faster")


def test_an_unknown_choice_is_answered_with_the_nearest():
    with pytest.raises(SettingError, match="--amp bf61: unknown precision, did you mean 'bf16'"):
        choose("bf61", CPU)


def test_what_is_asked_for_is_said_to_be_so():
    for name in ("bf16", "fp16"):
        assert choose(name, CUDA, Capabilities(cuda_bf16=True)).reason == f"{name}, as asked for"
    assert choose("bf16", CPU, Capabilities(cpu_bf16="AMX")).reason == "bf16, as asked for"
    assert choose("auto", CUDA, Capabilities(cuda_bf16=True)).reason == "bf16, since this GPU has it"


def test_bf16_that_a_gpu_emulates_does_not_count(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **how: asked.append(how) or True)
    assert precision.detect(CUDA).cuda_bf16
    assert not precision.detect(CPU).cuda_bf16  # and CUDA is not asked
    assert asked == [{"including_emulation": False}]


@pytest.mark.parametrize(
    ("name", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16), ("off", torch.float32)]
)
def test_autocast_computes_products_in_the_dtype(name, dtype):
    ones = torch.ones(2, 2)
    with precision.Precision(name, "").autocast(CPU):
        assert (ones @ ones).dtype == dtype


def test_gradients_are_scaled_for_fp16_alone(monkeypatch):
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device, enabled: (device, enabled))
    scalers = [precision.Precision(name, "").scaler() for name in ("fp16", "bf16", "off")]
    assert scalers == [("cuda", True), ("cuda", False), ("cuda", False)]


def test_the_scaler_passes_everything_through_unless_fp16():
    scaler = choose("bf16", CPU).scaler()
    loss = torch.tensor(3.0)
    assert not scaler.is_enabled()
    assert scaler.scale(loss) is loss


@pytest.mark.parametrize(
    ("flags", "unit"),
    [
        ({"amx_bf16", "avx512_bf16"}, "AMX"),
        ({"avx512_bf16"}, "AVX512-BF16"),
        ({"avx512f", "avx512_bf16_lookalike"}, ""),
    ],
)
def test_the_unit_follows_from_the_cpus_flags(monkeypatch, flags, unit):
    monkeypatch.setattr(precision, "_cpu_flags", lambda: frozenset(flags))
    assert precision.detect(CPU) == Capabilities(cuda_bf16=False, cpu_bf16=unit)


def test_a_flag_that_the_cpu_has_not_does_not_count(monkeypatch):
    flags = {"architecture": "x86_64", "amx_bf16": False, "avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags, raising=False)
    assert precision.detect(CPU).cpu_bf16 == "AVX512-BF16"


BF16 = Precision("bf16", "")


def model_of(name):
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=2).eval().to(memory_format=torch.channels_last)
    with torch.no_grad():
        model.get_classifier().weight.mul_(30)  # so that scores differ
    return model


@torch.inference_mode()
def scores(model, images):
    with BF16.autocast(CPU):
        return model(images).float().softmax(dim=1)[:, 1]


@pytest.mark.parametrize(
    "name", ["resnet10t", "test_efficientnet", "test_vit", "test_convnext", "test_nfnet"]
)
def test_scores_are_those_of_weights_that_autocast_casts(name):
    model = model_of(name)
    images = torch.randn(6, 3, *model.pretrained_cfg["input_size"][1:])
    expected = scores(model, images)
    assert expected.max() - expected.min() > 0.02
    torch.testing.assert_close(scores(cast_weights(model, BF16), images), expected, atol=2e-3, rtol=0)


def test_weights_of_products_alone_are_cast_and_keep_their_memory_format():
    before = model_of("test_efficientnet")
    after = cast_weights(deepcopy(before), BF16)
    for module, original in zip(after.modules(), before.modules(), strict=True):
        product = type(module) in (nn.Conv2d, nn.Linear)
        for own, old in zip(module.parameters(False), original.parameters(False), strict=True):
            assert own.dtype == (torch.bfloat16 if product else torch.float32)
            assert own.stride() == old.stride()
            assert torch.equal(own, old.to(own.dtype))
    assert {buffer.dtype for buffer in after.buffers()} == {torch.float32, torch.int64}


def test_weights_that_are_standardised_first_stay_float32():
    model = cast_weights(model_of("test_nfnet"), BF16)
    assert model.stem.conv1.weight.dtype == torch.float32
    assert model.get_classifier().weight.dtype == torch.bfloat16


def test_without_autocast_no_weight_is_cast():
    model = cast_weights(model_of("test_vit"), Precision("off", ""))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_auto_on_this_gpu_agrees_with_its_generation():
    major, _ = torch.cuda.get_device_capability()
    chosen = choose("auto", CUDA)
    assert chosen.name == ("bf16" if major >= 8 else "fp16")
    assert chosen.scaler().is_enabled() == (chosen.name == "fp16")

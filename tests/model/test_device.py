import contextlib

import pytest
import torch

from fastffdi.errors import SettingError
from fastffdi.model.device import choose_device, recorded_event, tune_convolutions


@pytest.fixture
def cuda(monkeypatch):
    """cuda(n): a machine with n CUDA devices. Gives those that have been made the current one."""
    current = []

    def pretend(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "set_device", current.append)
        return current

    return pretend


def refused(name):
    with pytest.raises(SettingError) as caught:
        choose_device(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("count", "chosen"), [(0, "cpu"), (1, "cuda:0"), (4, "cuda:0")])
def test_auto_is_cuda_where_there_is_one(cuda, count, chosen):
    cuda(count)
    assert choose_device("auto") == torch.device(chosen)


@pytest.mark.parametrize(("name", "chosen"), [("cuda", "cuda:0"), ("cuda:0", "cuda:0"), ("cuda:3", "cuda:3")])
def test_a_cuda_device_has_its_number(cuda, name, chosen):
    cuda(4)
    assert choose_device(name) == torch.device(chosen)


@pytest.mark.parametrize(("name", "number"), [("auto", 0), ("cuda", 0), ("cuda:1", 1), ("cuda:3", 3)])
def test_a_chosen_cuda_device_is_the_current_one(cuda, name, number):
    current = cuda(4)
    choose_device(name)
    assert current == [number]


@pytest.mark.parametrize("name", ["cpu", "cuda:4", "gpu"])
def test_what_is_not_chosen_does_not_become_the_current_device(cuda, name):
    current = cuda(4)
    with contextlib.suppress(SettingError):
        choose_device(name)
    assert current == []


@pytest.mark.parametrize("count", [0, 2])
def test_cpu_is_cpu_whatever_there_is(cuda, count):
    cuda(count)
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_absent_cuda_is_refused_with_the_way_out(cuda, name):
    cuda(0)
    assert refused(name) == (
        f"--device {name}: torch {torch.__version__} sees no CUDA devices here; "
        "take --device cpu, or run `fastffdi doctor` to see why"
    )


def test_a_number_too_high_is_refused(cuda):
    cuda(1)
    assert "sees 1 CUDA device here" in refused("cuda:1")
    cuda(2)
    assert "sees 2 CUDA devices here" in refused("cuda:2")


@pytest.mark.parametrize("name", ["", "gpu", "mps", "cpu:0", "cuda:x", "cuda:-1", "cuda:1:2", "CUDA"])
def test_what_is_no_device_is_refused(cuda, name):
    cuda(1)
    assert refused(name) == f"--device {name}: is not one of auto, cpu, cuda, cuda:N"


@pytest.fixture
def cudnn(monkeypatch):
    """torch.backends.cudnn without either flag; afterwards as it was."""
    for name in ("benchmark", "allow_tf32"):
        monkeypatch.setattr(torch.backends.cudnn, name, getattr(torch.backends.cudnn, name))
        setattr(torch.backends.cudnn, name, False)
    return torch.backends.cudnn


def test_on_a_cpu_no_flag_is_set(cudnn):
    tune_convolutions(torch.device("cpu"))
    assert (cudnn.benchmark, cudnn.allow_tf32) == (False, False)


def test_on_cuda_convolutions_are_tried_out_and_use_tf32_and_products_do_not(cudnn):
    tune_convolutions(torch.device("cuda:0"))
    assert (cudnn.benchmark, cudnn.allow_tf32) == (True, True)
    assert (torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32) == ("highest", False)


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="torch has one interface")
def test_torchs_newer_flags_agree(cudnn):
    tune_convolutions(torch.device("cuda:0"))
    assert cudnn.conv.fp32_precision == "tf32"
    assert torch.backends.cuda.matmul.fp32_precision in ("none", "ieee")


def test_an_event_is_recorded_on_the_devices_current_stream(monkeypatch):
    calls = []

    class Event:
        def __init__(self, enable_timing):
            calls.append(enable_timing)

        def record(self, stream):
            calls.append(stream)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    assert isinstance(recorded_event(torch.device("cuda:1"), timing=True), Event)
    assert calls == [True, "stream of cuda:1"]


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_of_two_gpus_the_chosen_one_is_current():
    for number in (1, 0):
        choose_device(f"cuda:{number}")
        assert torch.cuda.current_device() == number


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_two_events_have_a_time_between_them():
    device = torch.device("cuda")
    first, last = (recorded_event(device, timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    assert first.elapsed_time(last) >= 0

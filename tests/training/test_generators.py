import pytest
import torch

from fastffdi.training.generators import Generators

CPU = torch.device("cpu")


def test_what_is_drawn_goes_on_where_it_was():
    torch.manual_seed(3)
    torch.rand(5)
    state = Generators(CPU).state_dict()
    expected = torch.rand(7)
    torch.manual_seed(99)
    Generators(CPU).load_state_dict(state)
    assert torch.equal(torch.rand(7), expected)


def test_on_cuda_the_devices_own_are_among_them(monkeypatch):
    states, device = {"cuda:1": torch.arange(4)}, torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda of: states[str(of)])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, of: states.update({str(of): state}))
    state = Generators(device).state_dict()
    assert state.keys() == {"cpu", "device"}
    other = torch.device("cuda", 0)
    Generators(other).load_state_dict(state)
    assert torch.equal(states["cuda:0"], torch.arange(4))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_what_is_drawn_goes_on_where_it_was():
    device = torch.device("cuda", 0)
    state = Generators(device).state_dict()
    expected = torch.rand(7, device=device)
    Generators(device).load_state_dict(state)
    assert torch.equal(torch.rand(7, device=device), expected)

import pytest
import torch
from torch import nn

from fastffdi.errors import RunError
from fastffdi.inference.forward import Autocast, compiled_forward
from fastffdi.model import compilation
from fastffdi.model.precision import Precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("name", "dtype"), [("bf16", torch.bfloat16), ("off", torch.float32)])
def test_the_model_runs_in_its_precision(name, dtype):
    assert Autocast(nn.Linear(3, 2), Precision(name, ""))(torch.zeros(4, 3)).dtype == dtype


@pytest.fixture
def graphs(monkeypatch):
    """The sizes of the batches that torch has compiled for."""
    seen = []

    def backend(graph, inputs):
        seen.append({len(each) for each in inputs if each.dim() == 2 and each.shape[1] == 1})
        return graph

    monkeypatch.setattr(compilation, "_backend", lambda device: {"backend": backend})
    return seen


@torch.inference_mode()
def test_whole_batches_alone_are_compiled_once(graphs):
    forward = compiled_forward(lambda images: images * 2, CPU, full=4)
    for count in (4, 3, 4, 1, 5, 4):
        images = torch.arange(count, dtype=torch.float32)[:, None]
        assert torch.equal(forward(images), images * 2)
    assert graphs == [{4}]


def test_what_cannot_be_compiled_is_one_line(monkeypatch):
    def broken(graph, inputs):
        raise ValueError("no such\ninstruction")

    monkeypatch.setattr(compilation, "_backend", lambda device: {"backend": broken})
    forward = compiled_forward(torch.sin, CPU, full=2)
    with pytest.raises(RunError, match=r"^--compile: torch cannot compile this step \(.*no such instruction"):
        forward(torch.zeros(2))

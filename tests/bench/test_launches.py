from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fastffdi.bench import launches

pytestmark = pytest.mark.usefixtures("one_thread")

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


class Watched(TorchDispatchMode):
    """The operators that the dispatcher sees."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operator, types, given=(), more=None):
        self.names.append((operator.overloadpacket.__name__, operator.is_view))
        return operator(*given, **(more or {}))


def network():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)
    )


def trained(model):
    """A step that makes its gradients anew: to add to them is nothing that a dispatch mode sees."""
    model.zero_grad()
    nn.functional.cross_entropy(model(torch.ones(2, 3, 4, 4)), torch.ones(2, 2)).backward()


def test_it_counts_what_the_dispatcher_sees_but_views_and_allocations():
    model = network()
    with Watched() as watched:
        trained(model)
    idle = ("empty", "detach", "lift_fresh")
    seen = [name for name, view in watched.names if not view and not name.startswith(idle)]
    assert launches._launches(lambda: trained(model), CPU) == len(seen) > 15


def test_of_an_operator_made_of_others_the_others_count():
    x, weight = torch.ones(2, 3), torch.ones(4, 3)
    assert launches._launches(lambda: nn.functional.linear(x, weight).view(-1).t(), CPU) == 1
    assert launches._launches(lambda: torch.empty(3).fill_(1).detach().add_(2), CPU) == 2
    assert launches._launches(lambda: nn.functional.max_pool2d(torch.ones(1, 1, 4, 4), 2), CPU) == 2


def test_what_is_done_once_for_all_steps_does_not_count():
    x = torch.zeros(3)

    def train(steps):
        x.sin()
        for _ in range(steps):
            x.add_(1).mul_(2)

    assert launches.per_step(train, CPU) == 2


def event(name, *children):
    return SimpleNamespace(name=name, cpu_children=list(children), cpu_parent=None)


def test_a_fused_kernel_is_one_launch():
    inside = event("CompiledFunction", event("graph_0_cpp_fused_add_relu_1"), event("aten::convolution"))
    assert launches._computing([inside, event("Pregraph bytecode"), event("aten::empty")]) == 2


@pytest.fixture
def profiled(monkeypatch):
    """Names of what a GPU's profile holds; gives the activities that were asked for."""

    def holds(*names):
        asked = []

        class Profile:
            def __init__(self, activities):
                asked.extend(activities)

            def __enter__(self):
                return self

            def __exit__(self, *error):
                pass

            def events(self):
                return [event(name) for name in names]

        monkeypatch.setattr(launches, "profile", Profile)
        monkeypatch.setattr(torch.cuda, "synchronize", asked.append)
        return asked

    return holds


def test_on_cuda_calls_of_the_driver_count_and_a_graph_is_one(profiled):
    asked = profiled(
        "aten::add", "cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernelEx", "cudaMemcpyAsync",
        "cudaMemsetAsync", "cudaGraphLaunch", "cudaStreamSynchronize", "void kernel<float>()",
    )  # fmt: skip
    assert launches._launches(lambda: None, CUDA) == 6
    assert asked == [launches.ProfilerActivity.CPU, launches.ProfilerActivity.CUDA, CUDA]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_every_addition_is_a_launch():
    x = torch.zeros(64, device="cuda")

    def train(steps):
        for _ in range(10 * steps):
            x.add_(1)

    assert launches.per_step(train, x.device) == 10

import importlib.util
import shutil

import pytest
import torch

from fastffdi.errors import RunError, SettingError
from fastffdi.model import compilation
from fastffdi.model.compilation import check, compiled, explained

pytestmark = pytest.mark.usefixtures("one_thread")

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def complete(monkeypatch, tmp_path):
    """A machine with headers, compilers and Triton, of which the test takes something away."""
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setattr(compilation, "_cpp_compiler", lambda: "g++")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    for variable in ("CC", "CXX"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def refused(device):
    with pytest.raises(SettingError) as caught:
        check(device)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.usefixtures("complete")
@pytest.mark.parametrize("device", [CPU, CUDA])
def test_what_has_all_of_it_is_not_refused(device):
    check(device)


@pytest.mark.usefixtures("complete")
def test_on_a_cpu_a_cpp_compiler_is_needed_and_triton_is_not(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check(CPU)
    monkeypatch.setattr(compilation, "_cpp_compiler", lambda: None)
    assert refused(CPU) == (
        "--compile: needs a C++ compiler (g++, or the one that CXX names); install it, or leave out --compile"
    )


@pytest.mark.usefixtures("complete")
def test_on_cuda_triton_and_a_c_compiler_are_needed(monkeypatch):
    monkeypatch.setattr(compilation, "_cpp_compiler", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "clang" else None)
    check(CUDA)
    monkeypatch.setenv("CC", "icx")
    assert "needs a C compiler (gcc, or the one that CC names); install it" in refused(CUDA)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "triton" else name)
    assert "needs Triton (pip install triton); install it" in refused(CUDA)


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_pythons_headers_are_needed(complete, device):
    (complete / "Python.h").unlink()
    assert "needs Python's headers (python3-dev); install it" in refused(device)


def test_torch_is_asked_for_its_compiler(monkeypatch):
    from torch._inductor import cpp_builder, exc

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", lambda: "c++")
    assert compilation._cpp_compiler() == "c++"

    def none():
        raise exc.InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    assert compilation._cpp_compiler() is None


@pytest.fixture
def asked(monkeypatch):
    """What torch.compile is asked for; it compiles nothing."""
    given = []
    monkeypatch.setattr(compilation, "check", given.append)
    monkeypatch.setattr(torch, "compile", lambda function, **how: (given.append(how), function)[1])
    return given


def test_on_a_cpu_kernels_get_names(asked):
    assert compiled(max, CPU)(2, 3) == 3
    assert asked == [CPU, {"dynamic": False, "options": {"cpp.enable_kernel_profile": True}}]


def test_on_cuda_graphs_are_replayed_and_each_step_is_marked(asked, monkeypatch):
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: asked.append("step"))
    fast = compiled(max, CUDA)
    assert [fast(2, 3), fast(5, 4)] == [3, 5]
    assert asked == [CUDA, {"dynamic": False, "mode": "reduce-overhead"}, "step", "step"]


@pytest.mark.filterwarnings("error")
def test_more_functions_than_torch_compiles_of_one_are_all_compiled(monkeypatch):
    graphs = []
    monkeypatch.setattr(
        compilation, "_backend", lambda device: {"backend": lambda graph, inputs: graphs.append(1) or graph}
    )

    def scaled(factor):
        return lambda x: x * factor

    for factor in range(1, 12):
        assert compiled(scaled(factor), CPU)(torch.ones(1)) == factor
    assert len(graphs) == 11


def test_a_compiler_that_fails_is_one_line(monkeypatch):
    def broken(graph, inputs):
        raise ValueError("no such\n  instruction")

    monkeypatch.setattr(compilation, "_backend", lambda device: {"backend": broken})
    fast = compiled(torch.sin, CPU)
    with pytest.raises(RunError) as caught, explained():
        fast(torch.zeros(2))
    assert str(caught.value).startswith(
        "--compile: torch cannot compile this step (backend='broken' raised: "
    )
    assert "ValueError: no such instruction" in str(caught.value)
    assert str(caught.value).endswith("; leave out --compile")
    assert "\n" not in str(caught.value)


def test_a_long_reason_is_cut():
    error = type("CppCompileError", (RuntimeError,), {"__module__": "torch._inductor.exc"})
    with pytest.raises(RunError, match=r"\(x{200}…\); leave out --compile$"), explained():
        raise error("x" * 201)


@pytest.mark.parametrize("error", [RuntimeError("own"), ValueError("own"), KeyboardInterrupt()])
def test_other_errors_are_left_alone(error):
    with pytest.raises(type(error)) as caught, explained():
        raise error
    assert caught.value is error

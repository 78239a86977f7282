import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from recipes import normalised

from fastffdi.data.manifest import Manifest
from fastffdi.errors import SettingError
from fastffdi.loaders import factory
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.loaders.torchvision import TorchvisionLoader
from fastffdi.recipe.steps import STEPS

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
STEPS_HERE = normalised(STEPS["resize"]((16, 16)))


def test_a_process_of_its_own_is_the_cpu_loaders():
    assert factory.choose_loader("auto", torch.device("cuda"), process=True) == "cpu"
    assert factory.choose_loader("cpu", CPU, process=True) == "cpu"
    for name in ("dali", "torchvision"):
        with pytest.raises(SettingError, match=f"--loader-process: goes with --loader cpu, not with {name};"):
            factory.choose_loader(name, CPU, process=True)


def test_not_asking_for_a_process_leaves_the_choice():
    assert factory.choose_loader("auto", CUDA, process=False) == "dali"
    assert factory.choose_loader("torchvision", CPU, process=False) == "torchvision"


def test_cached_images_are_the_cpu_loaders():
    assert factory.choose_loader("auto", CUDA, cache=True) == "cpu"
    assert factory.choose_loader("cpu", CPU, cache=True) == "cpu"
    for name in ("dali", "torchvision"):
        with pytest.raises(
            SettingError, match=f"^--cache: goes with --loader cpu, not with {name}; leave out"
        ):
            factory.choose_loader(name, CPU, cache=True)


@pytest.mark.parametrize("name", ["dali", "torchvision"])
def test_a_loader_that_opens_files_refuses_a_cache_by_its_type(name: str, image_files: Manifest, tmp_path):
    planner = BatchPlanner.over(image_files, STEPS_HERE, LoaderSettings(1, 8))
    cached = planner.cached(planner.cache_plan(tmp_path))
    with pytest.raises(SettingError, match=f"^--loader {name}: opens image files itself, .* CachedDecoder;"):
        factory.build_loader(name, cached, LoaderSettings(1), CPU)


def test_auto_is_dali_on_cuda_and_cpu_on_the_cpu():
    assert factory.choose_loader("auto", CUDA) == "dali"
    assert factory.choose_loader("auto", CPU) == "cpu"


@pytest.mark.usefixtures("without_dali")
def test_auto_is_cpu_where_dali_is_absent():
    assert factory.choose_loader("auto", CUDA) == "cpu"


@pytest.mark.usefixtures("without_dali")
def test_dali_asked_for_but_absent_is_answered_with_the_cure():
    with pytest.raises(SettingError, match="DALI is not installed; pip install nvidia-dali-cuda120"):
        factory.choose_loader("dali", CPU)


def forget_dali(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not imported DALI."""
    for name in {"nvidia", "nvidia.dali", "fastffdi.loaders.dali", *sys.modules}:
        if name.split(".")[0] == "nvidia" or name == "fastffdi.loaders.dali":
            monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.fixture
def broken_dali(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """broken_dali(line): from now on DALI is a package that runs this line when it is imported."""
    (tmp_path / "nvidia" / "dali").mkdir(parents=True)
    (tmp_path / "nvidia" / "__init__.py").touch()
    forget_dali(monkeypatch)
    monkeypatch.syspath_prepend(tmp_path)
    return lambda line: (tmp_path / "nvidia" / "dali" / "__init__.py").write_text(line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("import no_such_part", "No module named 'no_such_part'"),
        ("raise ImportError('libcuda.so: no such\\nfile')", "libcuda.so: no such file"),
        ("raise ValueError('odd version')", "odd version"),
    ],
)
def test_dali_that_is_there_but_broken_is_told_with_the_reason(line: str, reason: str, broken_dali):
    broken_dali(line)
    assert factory.dali_problem() == f"DALI is installed but cannot be loaded ({reason})"
    assert factory.choose_loader("auto", CUDA) == "cpu"


def test_without_any_package_of_nvidias_dali_is_absent(monkeypatch: pytest.MonkeyPatch):
    forget_dali(monkeypatch)
    monkeypatch.setitem(sys.modules, "nvidia", None)
    assert factory.dali_problem() == "DALI is not installed"


@pytest.mark.parametrize("name", ["dali", "cpu", "torchvision"])
def test_a_name_stands_for_itself(name: str):
    assert factory.choose_loader(name, CPU) == name


def test_an_unknown_name_is_answered_with_a_near_one():
    with pytest.raises(SettingError, match="--loader dalli: unknown loader, did you mean 'dali'"):
        factory.choose_loader("dalli", CPU)


def test_names_build_their_loaders(image_files: Manifest):
    from fastffdi.loaders.dali import DaliLoader

    planner = BatchPlanner.over(image_files, STEPS_HERE, LoaderSettings(1, 8))
    for name, kind in {"cpu": CpuLoader, "dali": DaliLoader, "torchvision": TorchvisionLoader}.items():
        loader = factory.build_loader(name, planner, LoaderSettings(1), CPU)
        assert type(loader) is kind
        loader.close()


def record_construction(monkeypatch: pytest.MonkeyPatch, *loaders: type) -> None:
    """Loaders of these kinds keep what they are given, and do nothing."""
    for loader in loaders:
        monkeypatch.setattr(
            loader, "__init__", lambda self, *given, **more: vars(self).update(more, given=given)
        )


@pytest.mark.parametrize(
    ("process", "device", "kind"),
    [
        (None, CPU, CpuLoader),
        (True, CPU, ProcessLoader),
        (None, CUDA, ProcessLoader),
        (False, CUDA, CpuLoader),
    ],
)
def test_the_cpu_loader_has_its_own_process_where_asked_or_on_cuda(
    process: bool | None,
    device: torch.device,
    kind: type,
    image_files: Manifest,
    monkeypatch: pytest.MonkeyPatch,
):
    record_construction(monkeypatch, CpuLoader, ProcessLoader)
    planner = BatchPlanner.over(image_files, STEPS_HERE, LoaderSettings(1, 8))
    settings = LoaderSettings(3, prefetch=5, process=process)
    loader = factory.build_loader("cpu", planner, settings, device)
    assert type(loader) is kind
    assert vars(loader)["given"][:2] == (planner, settings)
    assert vars(loader)["beyond"] == (device == CPU)
    if kind is ProcessLoader:
        assert vars(loader)["given"][2] == device
    else:
        assert vars(loader)["pinned"] == (device == CUDA)


def test_other_loaders_are_given_settings_and_device(image_files: Manifest, monkeypatch: pytest.MonkeyPatch):
    from fastffdi.loaders.dali import DaliLoader

    record_construction(monkeypatch, DaliLoader, TorchvisionLoader)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 << 34, 1 << 35))
    planner = BatchPlanner.over(image_files, STEPS_HERE, LoaderSettings(1, 8))
    settings = LoaderSettings(3, prefetch=5)
    for name, more in (("dali", (8,)), ("torchvision", ())):
        loader = factory.build_loader(name, planner, settings, CUDA)
        assert vars(loader)["given"] == (planner, settings, CUDA, *more)


def test_where_no_process_can_be_had_asking_for_one_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(factory, "os", SimpleNamespace(name="nt"))
    assert not factory.in_process(None, CUDA)
    with pytest.raises(SettingError, match="--loader-process: not on this system"):
        factory.in_process(True, CPU)
    assert not factory.in_process(False, CUDA)

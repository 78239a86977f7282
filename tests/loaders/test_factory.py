import sys
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


@pytest.fixture
def without_dali(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvidia.dali", None)


def test_a_process_of_its_own_is_the_cpu_loaders():
    assert factory.choose_loader("auto", torch.device("cuda"), process=True) == "cpu"
    assert factory.choose_loader("cpu", CPU, process=True) == "cpu"
    with pytest.raises(SettingError, match="--loader-process: goes with --loader cpu, not with torchvision"):
        factory.choose_loader("torchvision", CPU, process=True)


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
    for loader in (CpuLoader, ProcessLoader):
        monkeypatch.setattr(
            loader, "__init__", lambda self, *given, **more: vars(self).update(more, given=given)
        )
    planner = BatchPlanner.over(image_files, STEPS_HERE, LoaderSettings(1, 8))
    settings = LoaderSettings(3, prefetch=5, process=process)
    loader = factory.build_loader("cpu", planner, settings, device)
    assert type(loader) is kind
    assert vars(loader)["given"][:2] == (planner, settings)
    assert vars(loader)["beyond"] == (device == CPU)


def test_where_no_process_can_be_had_asking_for_one_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(factory, "os", SimpleNamespace(name="nt"))
    assert not factory._in_process(None, CUDA)
    with pytest.raises(SettingError, match="--loader-process: not on this system"):
        factory._in_process(True, CPU)

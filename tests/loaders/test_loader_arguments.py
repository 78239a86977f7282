"""The public Loader's arguments: where they are handed on to, and which are refused."""

from types import SimpleNamespace

import pytest
import torch
from public_loaders import CPU, FLAT, STEPS, bits, loader_of
from recipes import normalised, step

from fastffdi.errors import DataError, SettingError
from fastffdi.loaders import factory
from fastffdi.loaders.loader import Loader
from fastffdi.recipe.decode import Decode

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def handed(monkeypatch):
    """What Loader hands to build_loader: name, planner, settings, device."""
    calls = []

    def build_loader(*arguments):
        calls.append(arguments)
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(factory, "build_loader", build_loader)
    return calls


def test_threads_backend_and_batch_size_reach_the_backend(image_files, handed):
    Loader(image_files, STEPS, batch_size=7, threads=3, backend="torchvision", device="cpu")
    ((name, planner, settings, device),) = handed
    assert (name, device) == ("torchvision", CPU)
    assert (planner.batch_size, settings.batch_size, settings.threads) == (7, 7, 3)


@pytest.mark.parametrize("scaled", [False, True])
def test_decode_reaches_the_decoder(image_files, handed, scaled):
    Loader(image_files, STEPS, decode=Decode(scaled=scaled), device="cpu")
    assert handed[0][1].decoder.scaled is scaled


def test_a_cache_is_filled_and_gives_the_same_images(image_files, tmp_path):
    with loader_of(image_files, FLAT) as plain:
        expected = bits(plain)
    for _ in range(2):
        with loader_of(image_files, FLAT, cache=str(tmp_path)) as cached:
            assert type(cached.backend.planner.decoder).__name__ == "CachedDecoder"
            assert bits(cached) == expected


def test_auto_is_cpu_without_cuda(image_files, handed):
    Loader(image_files, STEPS, device="auto")
    assert [call[0] for call in handed] == ["cpu" if not torch.cuda.is_available() else "dali"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 0}, "batch_size: 0 is not a whole number from 1 on"),
        ({"threads": -1}, "threads: -1 is not a whole number from 1 on"),
        ({"device": "gpu"}, "--device gpu: is not one of auto, cpu, cuda, cuda:N"),
        ({"backend": "dalli"}, "--loader dalli: unknown loader, did you mean 'dali'?"),
    ],
)
def test_wrong_use_is_refused(image_files, wrong, message):
    with pytest.raises(SettingError) as caught:
        Loader(image_files, STEPS, **{"device": "cpu"} | wrong)
    assert str(caught.value) == message


def test_images_too_small_for_a_crop_are_refused(image_files):
    with pytest.raises(DataError, match="random_crop: 500×500 does not fit an image of"):
        Loader(image_files, normalised(step("random_crop", size=[500, 500])), device="cpu")

"""The public Loader: the batches it gives, and its life."""

import gc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_cuda import fake_cuda
from public_loaders import BOTH, CPU, FLAT, STEPS, TEN, bits, loader_of

from fastffdi.loaders import factory
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.loaders.mix import Mixer
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.kernels import Flip, Normalize, Views
from fastffdi.recipe.program import Program
from fastffdi.render.device.stage import DeviceStage

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_batch_is_what_a_model_takes(image_files):
    with loader_of(image_files) as loader:
        images, labels = next(iter(loader))
        assert len(loader) == 6
    assert images.shape == (4, 3, 20, 24)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.dtype == torch.int64
    assert labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("backend", ["cpu", "dali", "torchvision"])
def test_images_are_normalised_and_in_their_order(image_files, backend):
    with loader_of(image_files, FLAT, batch_size=23, backend=backend) as loader:
        ((images, labels),) = loader
    assert labels.tolist() == image_files.labels.tolist()
    assert images.is_contiguous(memory_format=torch.channels_last)
    # (x / 255 − 0.5) / 0.25
    pixels = (images * 0.25 + 0.5) * 255
    assert -0.01 <= pixels.min() < 20
    assert 235 < pixels.max() <= 255.01


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_images_have_the_dtype_asked_for(image_files, dtype):
    with loader_of(image_files, FLAT, dtype=dtype) as half, loader_of(image_files, FLAT) as whole:
        images, expected = next(iter(half))[0], next(iter(whole))[0]
    assert images.dtype == dtype
    torch.testing.assert_close(images.float(), expected, atol=0.01, rtol=0.01)


def test_images_without_labels_have_minus_one(image_files):
    with loader_of(replace(image_files, labels=None)) as loader:
        assert next(iter(loader))[1].tolist() == [-1] * 4


def test_every_view_has_its_images_label(image_files):
    with loader_of(image_files, TEN) as loader:
        images, labels = next(iter(loader))
    assert images.shape == (40, 3, 8, 8)
    assert labels.tolist() == [0] * 10 + [1] * 10 + [0] * 10 + [1] * 10


def test_images_are_those_of_the_backend_and_the_stage(image_files):
    planner = BatchPlanner.over(image_files, STEPS, LoaderSettings(2, 4), seed=7, shuffle=True)
    stage = DeviceStage(CPU, torch.float32)
    with closing(factory.build_loader("cpu", planner, LoaderSettings(2, 4), CPU)) as backend:
        inner = [(stage(batch).numpy().tobytes(), batch.labels.tobytes()) for batch in backend.epoch(0)]
    with loader_of(image_files, shuffle=True, seed=7) as loader:
        assert bits(loader) == inner


@pytest.mark.parametrize("backend", ["cpu", "dali", "process"])
@pytest.mark.parametrize("keep", [lambda images: images, lambda images: images[1:, :, ::2].numpy()])
def test_batches_that_are_kept_stay_as_they_were(image_files, backend, keep):
    process = backend == "process"
    chosen = LoaderSettings(2, batch_size=4, process=process)
    planner = BatchPlanner.over(image_files, STEPS, chosen, seed=3, shuffle=True)
    built = factory.build_loader("cpu" if process else backend, planner, chosen, CPU)
    kept, bytes_then = [], []
    with DeviceLoader(built, DeviceStage(CPU, torch.float32)) as loader:
        for _ in range(2):
            for images, _ in loader:
                loader.state_dict()
                kept.append(keep(images))
                bytes_then.append(np.asarray(kept[-1]).tobytes())
    assert [np.asarray(images).tobytes() for images in kept] == bytes_then
    assert len(set(bytes_then)) == 12


def test_batches_may_be_used_in_another_thread(image_files):
    with loader_of(image_files, shuffle=True) as loader, ThreadPoolExecutor(2) as pool:
        expected = bits(loader)
        loader.set_epoch(0)
        later = [pool.submit(lambda images: images.numpy().tobytes(), images) for images, _ in loader]
        assert [future.result() for future in later] == [images for images, _ in expected]


# On CUDA.


@pytest.mark.parametrize("mix", [None, BOTH])
@pytest.mark.parametrize("views", [1, 3])
def test_on_cuda_a_batch_is_prepared_without_a_wait(mix, views):
    kernels = (Views(views), Flip(np.arange(4 * views) % 2 == 0, np.zeros(4 * views, bool)))
    rows, program = np.arange(4), Program(kernels, Normalize((0.5,) * 3, (0.25,) * 3))
    with fake_cuda() as device:
        images = torch.empty((4, 20, 24, 3), dtype=torch.uint8, pin_memory=True)
        batch = Batch(images, rows % 2, rows, 0 * rows, rows > 0, 0, program, views)
        mixer = Mixer.of_run(mix, 0, 1)
        loader = DeviceLoader(SimpleNamespace(close=print), DeviceStage(device, torch.bfloat16), mixer)
        found = loader.prepared(batch)
        assert {x.device for x in found} == {device}
        assert found.images.shape == (4 * views, 3, 20, 24)
        assert found.images.dtype == torch.bfloat16
        assert found.images.is_contiguous(memory_format=torch.channels_last)
        labels = ((4 * views,), torch.int64) if mix is None else ((4 * views, 2), torch.float32)
        assert (found.labels.shape, found.labels.dtype) == labels
        assert (found.valid.shape, found.valid.dtype) == ((4 * views,), torch.float32)


# Life.


def test_a_backend_is_closed_with_its_loader_once():
    closed = []
    backend = SimpleNamespace(close=lambda: closed.append(1))
    with DeviceLoader(backend, DeviceStage(CPU, torch.float32)) as loader:
        assert not closed
    loader.close()
    assert closed == [1]


def test_a_backend_is_closed_when_its_loader_is_forgotten():
    closed = []
    backend = SimpleNamespace(close=lambda: closed.append(1))
    loader = DeviceLoader(backend, DeviceStage(CPU, torch.float32))
    del loader
    gc.collect()
    assert closed == [1]

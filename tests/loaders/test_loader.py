"""The public Loader: what it gives, its epochs, and its place in the data."""

import gc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_cuda import fake_cuda
from recipes import normalised, step

from fastffdi.errors import DataError, RunError, SettingError
from fastffdi.loaders import factory
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.loader import DeviceLoader, Loader, soft_labels
from fastffdi.loaders.mix import Mixer
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.decode import Decode
from fastffdi.recipe.kernels import Flip, Normalize, Views
from fastffdi.recipe.mix import Mix
from fastffdi.recipe.program import Program
from fastffdi.render.device.stage import DeviceStage

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
STEPS = normalised(step("random_resized_crop", size=[20, 24]), step("color_jitter", hue=0.2))
FLAT = normalised(step("resize", size=[20, 24]))
TEN = normalised(step("resize", size=[20, 24]), step("ten_crop", size=[8, 8]))
BOTH = Mix(mixup=0.4, cutmix=1.0)


@contextmanager
def loader_of(manifest, steps=STEPS, **more):
    chosen = {"batch_size": 4, "device": "cpu", "backend": "cpu", "threads": 2} | more
    with Loader(manifest, steps, **chosen) as loader:
        yield loader


def bits(loader):
    """All batches of an iteration, as bytes."""
    return [(images.numpy().tobytes(), labels.numpy().tobytes()) for images, labels in loader]


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


# Mixing.


def test_mixed_labels_are_shares_of_real_and_fake(image_files):
    with loader_of(image_files, mix=BOTH) as mixed, loader_of(image_files) as plain:
        images, labels = next(iter(mixed))
        others = next(iter(plain))[0]
    assert labels.shape == (4, 2)
    assert labels.dtype == torch.float32
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(4))
    assert ((labels > 0) & (labels < 1)).any()
    assert not torch.equal(images, others)


def test_a_soft_label_is_the_share_on_its_own_label():
    labels, partners = torch.tensor([0, 1, 1, 0]), torch.tensor([1, 0, 1, 0])
    found = soft_labels(labels, partners, torch.tensor([0.75, 0.25, 0.5, 1.0]))
    assert found.tolist() == [[0.75, 0.25], [0.75, 0.25], [0.0, 1.0], [1.0, 0.0]]


def test_mixing_depends_on_the_seed(image_files):
    found = []
    for seed in (0, 0, 1):
        with loader_of(image_files, FLAT, mix=BOTH, seed=seed) as loader:
            found.append(bits(loader))
    assert found[0] == found[1] != found[2]


def test_the_last_epochs_that_are_not_mixed_still_have_shares(image_files):
    mix = Mix(mixup=1.0, off_epochs=1)
    with loader_of(image_files, mix=mix, epochs=2) as loader:
        first, last = [next(iter(loader))[1] for _ in range(2)]
    assert ((first > 0) & (first < 1)).any()
    assert last.tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]


def test_mixing_that_ends_needs_the_number_of_epochs(image_files):
    with pytest.raises(SettingError, match=r"^mix: off_epochs 1 leaves out the last epochs; say of how many"):
        Loader(image_files, STEPS, mix=Mix(mixup=1.0, off_epochs=1), device="cpu")


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


# Epochs.


def test_every_iteration_is_the_next_epoch(image_files):
    with loader_of(image_files, shuffle=True) as loader:
        first, second = bits(loader), bits(loader)
        loader.set_epoch(1)
        assert bits(loader) == second != first
        loader.set_epoch(0)
        assert bits(loader) == first


def test_an_iteration_that_was_left_is_followed_by_the_next_epoch(image_files):
    with loader_of(image_files, shuffle=True) as loader:
        bits(loader)
        second = bits(loader)
        loader.set_epoch(0)
        for _ in loader:
            break
        assert bits(loader) == second


def test_an_iteration_of_which_no_batch_is_taken_is_none(image_files):
    with loader_of(image_files, shuffle=True) as loader:
        first = bits(loader)
        loader.set_epoch(0)
        iter(loader)
        assert bits(loader) == first


def test_epochs_are_shuffled_only_where_asked_for(image_files):
    orders = {}
    for shuffle in (True, False):
        with loader_of(image_files, FLAT, shuffle=shuffle) as loader:
            orders[shuffle] = torch.cat([labels for _, labels in loader]).tolist()
    assert orders[False] == image_files.labels.tolist() != orders[True]
    assert sorted(orders[True]) == sorted(orders[False])


def test_the_seed_decides_order_and_augmentation(image_files):
    found = []
    for seed in (3, 3, 4):
        with loader_of(image_files, shuffle=True, seed=seed) as loader:
            found.append(bits(loader))
    assert found[0] == found[1] != found[2]
    with loader_of(image_files, seed=3) as ordered, loader_of(image_files, seed=4) as other:
        assert bits(ordered) != bits(other)


def test_balance_repeats_the_smaller_class(image_files):
    few = image_files.take(np.r_[0:23:2, 1:4:2])  # 12 real, 2 fake
    with loader_of(few, balance=True) as loader:
        labels = torch.cat([labels for _, labels in loader])
    assert torch.bincount(labels).tolist() == [12, 12]


def test_an_older_iteration_is_refused_once_another_has_begun(image_files):
    with loader_of(image_files) as loader:
        older = iter(loader)
        next(older)
        next(iter(loader))
        with pytest.raises(RunError, match=r"^loader: another iteration has begun meanwhile"):
            next(older)


# The place in the data.


@pytest.mark.parametrize("backend", ["cpu", "dali"])
@pytest.mark.parametrize("consumed", [0, 1, 3, 6])
def test_the_remaining_batches_are_bit_equal(image_files, backend, consumed):
    how = {"shuffle": True, "seed": 5, "mix": BOTH, "backend": backend}
    with loader_of(image_files, **how) as loader:
        loader.set_epoch(2)
        iteration = iter(loader)
        for _ in range(consumed):
            next(iteration)
        state = loader.state_dict()
        rest = bits(iteration)
        after = bits(loader)
    with loader_of(image_files, **how) as resumed:
        resumed.load_state_dict(state)
        assert resumed.state_dict() == state
        assert bits(resumed) == rest
        assert len(rest) == 6 - consumed
        assert bits(resumed) == after


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


def test_a_loader_goes_back_to_its_own_state(image_files):
    with loader_of(image_files, shuffle=True) as loader:
        iteration = iter(loader)
        next(iteration)
        state = loader.state_dict()
        rest = bits(iteration)
        loader.load_state_dict(state)
        assert bits(loader) == rest


def test_the_state_counts_epochs_and_images(image_files):
    with loader_of(image_files) as loader:
        places = [loader.state_dict()]
        for _ in loader:
            places.append(loader.state_dict())
        places.append(loader.state_dict())
    assert [place["consumed"] for place in places] == [0, 4, 8, 12, 16, 20, 23, 0]
    assert [place["epoch"] for place in places] == [0] * 7 + [1]
    assert all(type(value) is int for value in places[1].values())


def test_several_views_of_an_image_are_consumed_as_one(image_files):
    with loader_of(image_files, TEN) as loader:
        next(iter(loader))
        assert loader.state_dict()["consumed"] == 4


def test_to_name_the_restored_epoch_keeps_the_place(image_files):
    with loader_of(image_files, shuffle=True) as loader:
        loader.set_epoch(1)
        iteration = iter(loader)
        next(iteration)
        state, rest = loader.state_dict(), bits(iteration)
        loader.load_state_dict(state)
        loader.set_epoch(1)
        assert bits(loader) == rest
        loader.load_state_dict(state)
        loader.set_epoch(2)
        assert loader.state_dict()["consumed"] == 0


@pytest.mark.parametrize(("name", "value"), [("seed", 9), ("batch_size", 3), ("images", 22)])
def test_the_state_of_another_loader_is_refused(image_files, name, value):
    with loader_of(image_files) as loader:
        own = loader.state_dict()
        with pytest.raises(
            SettingError, match=f"^loader state: {name} is {value} and the loader's {own[name]};"
        ):
            loader.load_state_dict(own | {name: value})


# What is handed on.


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


def test_images_are_those_of_the_backend_and_the_stage(image_files):
    planner = BatchPlanner.over(image_files, STEPS, LoaderSettings(2, 4), seed=7, shuffle=True)
    stage = DeviceStage(CPU, torch.float32)
    with closing(factory.build_loader("cpu", planner, LoaderSettings(2, 4), CPU)) as backend:
        inner = [(stage(batch).numpy().tobytes(), batch.labels.tobytes()) for batch in backend.epoch(0)]
    with loader_of(image_files, shuffle=True, seed=7) as loader:
        assert bits(loader) == inner


def test_an_epoch_that_begins_while_images_are_scored_is_fit_for_training(image_files):
    with loader_of(image_files, FLAT, batch_size=4, backend="cpu") as loader:
        with torch.inference_mode():
            loader.begin(0)
        batches = list(loader.batches(0))
        assert not any(batch.images.is_inference() for batch in batches)
        assert [batch.epoch for batch in batches] == [0] * len(loader)


def test_another_epoch_than_the_one_begun_can_be_asked_for(image_files):
    with loader_of(image_files, FLAT, batch_size=23, backend="cpu") as loader:
        loader.begin(3)
        assert [batch.epoch for batch in loader.batches(1)] == [1]
        assert [batch.epoch for batch in loader.batches(3)] == [3]

"""The dali loader on the CPU: the same images whatever the threads, batch size or history."""

import contextlib
import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from recipes import NORMALIZE, step
from torch._subclasses.fake_tensor import FakeTensorMode

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import RunError, SettingError
from fastffdi.loaders import dali as module
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.dali import DaliLoader, decoding_of
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.kernels import Matrix, Resize, Warp
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import (
    ColorJitter,
    HorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    ResizeStep,
    Step,
)
from fastffdi.recipe.steps.base import Range
from fastffdi.render.dali import Decoding

STEPS = (
    RandomResizedCrop((48, 40)),
    HorizontalFlip(),
    RandomRotation(Range(-20, 20)),
    ColorJitter(Range(0.5, 1.5), hue=Range(-0.1, 0.1)),
    NORMALIZE,
)
RESIZE = (ResizeStep((32, 32)), NORMALIZE)
CPU = torch.device("cpu")
Build = Callable[..., DaliLoader]


@pytest.fixture
def build(image_files: Manifest) -> Iterator[Build]:
    """build(manifest=…, batch_size=…, …): a loader that is closed when the test ends."""
    loaders: list[DaliLoader] = []

    def make(
        manifest: Manifest = image_files,
        batch_size: int = 4,
        threads: int = 2,
        steps: tuple[Step, ...] = STEPS,
        share: tuple[int, int] = (0, 1),
        device: torch.device = CPU,
        prefetch: int = 2,
        at_once: int | None = None,
    ) -> DaliLoader:
        sampler = Sampler(len(manifest), 1, rank=share[0], world=share[1])
        planner = BatchPlanner(manifest, sampler, CounterRNG(1), steps, batch_size)
        settings = LoaderSettings(threads, prefetch=prefetch, hw_decoder_load=0.0)
        loaders.append(DaliLoader(planner, settings, device, at_once))
        return loaders[-1]

    yield make
    for loader in loaders:
        loader.close()


class Recorder:
    """Stands in for DALI's pipeline: keeps its arguments and what is asked of it, in order."""

    def __init__(self, **given: Any) -> None:
        self.given, self.calls = given, []

    def __enter__(self) -> None:
        self.calls.append("enter")

    def __exit__(self, *error: object) -> None:
        self.calls.append("exit")

    def set_outputs(self, node: tuple) -> None:
        self.calls.append("set_outputs")
        self.graph = node

    def build(self) -> None:
        self.calls.append("build")

    def reset(self) -> None:
        self.calls.append("reset")

    def schedule_run(self) -> None:
        self.calls.append("schedule_run")
        with contextlib.suppress(StopIteration):
            self.graph[2]()

    def share_outputs(self, cuda_stream: object = None) -> tuple[Any]:
        self.calls.append(("share_outputs", cuda_stream))
        return (SimpleNamespace(as_tensor=lambda: SimpleNamespace(shape=lambda: [4, 48, 40, 3])),)

    def feed(self, out: Any, images: torch.Tensor, cuda_stream: object) -> None:
        self.calls.append(
            ("feed_ndarray", str(images.device), out.shape() == list(images.shape), cuda_stream)
        )

    def release_outputs(self) -> None:
        self.calls.append("release_outputs")


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaders have a Recorder for a pipeline, and CUDA has streams and devices by name."""
    monkeypatch.setattr(module, "Pipeline", Recorder)
    monkeypatch.setattr(module, "graph", lambda *given: given)
    monkeypatch.setattr(module, "from_dlpack", lambda out: torch.zeros(out.shape(), dtype=torch.uint8))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"current stream of {device}")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)


def gathered(batches: list[Batch]) -> dict[int, torch.Tensor]:
    return {int(row): image for batch in batches for row, image in zip(batch.rows, batch.images, strict=True)}


def assert_same(ours: list[Batch], theirs: list[Batch]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.rows, b.rows)
        np.testing.assert_array_equal(a.labels, b.labels)
        assert torch.equal(a.images, b.images)


@pytest.mark.parametrize(("threads", "batch_size"), [(1, 4), (2, 4), (4, 4), (2, 23), (1, 1), (3, 9)])
def test_images_do_not_depend_on_threads_or_batch_size(build: Build, threads: int, batch_size: int) -> None:
    whole = gathered(list(build().epoch(2)))
    other = gathered(list(build(threads=threads, batch_size=batch_size).epoch(2)))
    assert list(whole) == list(other)
    assert all(torch.equal(whole[row], other[row]) for row in whole)


def test_two_shards_make_the_whole(build: Build) -> None:
    whole = gathered(list(build().epoch(0)))
    halves = [gathered(list(build(share=(rank, 2)).epoch(0))) for rank in range(2)]
    assert not set(halves[0]) & set(halves[1])
    both = {**halves[0], **halves[1]}
    assert set(both) == set(whole)
    assert all(torch.equal(whole[row], both[row]) for row in whole)


@pytest.mark.parametrize("start", [0, 1, 3, 5, 6])
def test_an_epoch_can_begin_at_any_batch(build: Build, start: int) -> None:
    loader = build()
    assert_same(list(loader.epoch(3, start)), list(loader.epoch(3))[start:])


def test_batches_are_those_of_the_cpu_loader(build: Build) -> None:
    loader = build()
    cpu = CpuLoader(loader.planner, LoaderSettings(2))
    ours, theirs = list(loader.epoch(1)), list(cpu.epoch(1))
    cpu.close()
    assert len(loader) == len(ours) == 6
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.rows, b.rows)
        np.testing.assert_array_equal(a.labels, b.labels)
        assert (len(a.remaining), a.images.shape, a.images.dtype) == (0, b.images.shape, torch.uint8)
        assert a.remaining == b.remaining
        assert (a.images.int() - b.images.int()).abs().float().mean() < 0.5


def test_the_last_batch_is_short(build: Build) -> None:
    assert [len(batch.images) for batch in build(batch_size=9).epoch(0)] == [9, 9, 5]


@pytest.mark.parametrize("taken", [0, 1, 5, 6])
def test_an_epoch_left_early_does_not_harm_the_next(build: Build, taken: int) -> None:
    loader = build()
    left = loader.epoch(0)
    for _ in range(taken):
        next(left)
    left.close()
    assert_same(list(loader.epoch(1)), list(build().epoch(1)))


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_any_prefetch_gives_the_same_batches(build: Build, prefetch: int) -> None:
    loader = build(prefetch=prefetch)
    for epoch in range(2):
        assert_same(list(loader.epoch(epoch)), list(build().epoch(epoch)))


@pytest.mark.parametrize("at_once", [1, 3, 4, 9])
def test_batches_may_be_put_together_of_several_runs(build: Build, at_once: int) -> None:
    loader, whole = build(batch_size=9, at_once=at_once), build(batch_size=9)
    assert loader._pipeline.max_batch_size == at_once
    for epoch, start in ((0, 0), (1, 1), (2, 0)):
        assert_same(list(loader.epoch(epoch, start)), list(whole.epoch(epoch, start)))
    left = loader.epoch(3)
    next(left)
    left.close()
    assert_same(list(loader.epoch(4)), list(whole.epoch(4)))


def test_two_epochs_at_once_are_refused(build: Build) -> None:
    loader = build()
    first, second = loader.epoch(0), loader.epoch(1)
    next(second)
    with pytest.raises(AssertionError, match="two epochs at once"):
        next(first)


@pytest.mark.parametrize("taken", [0, 1])
def test_a_loader_and_its_pipeline_are_freed_with_its_last_name(build: Build, taken: int) -> None:
    gc.disable()  # in a process that is forked meanwhile, DALI's pipeline must not be what it finds
    try:
        loader = DaliLoader(build().planner, LoaderSettings(1), CPU)
        pipeline, batches = weakref.ref(loader._pipeline), loader.epoch(0)
        for _ in range(taken):
            next(batches)
        del loader, batches
        assert pipeline() is None
    finally:
        gc.enable()


def test_after_an_error_the_pipeline_is_freed_though_the_error_is_kept(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(module, "from_dlpack", fail)
    loader = build()
    pipeline = weakref.ref(loader._pipeline)
    with pytest.raises(RunError, match="no memory"):
        next(loader.epoch(0))
    assert pipeline() is None


def test_images_are_never_written_to_again(build: Build) -> None:
    loader = build()
    batches = loader.epoch(0)
    first = next(batches)
    copy = first.images.clone()
    list(batches)
    list(loader.epoch(1))
    loader.close()
    assert torch.equal(first.images, copy)


def test_a_turned_image_is_set_upright(tmp_path: Path, build: Build) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((40, 60, 3), np.uint8)
    stored[:, :30] = 255  # left as stored, above as it is to be seen
    Image.fromarray(stored).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    loader = build(Manifest(str(tmp_path), np.array(["turned.jpg"], object)), steps=RESIZE)
    (batch,), (theirs,) = list(loader.epoch(0)), list(CpuLoader(loader.planner, LoaderSettings(1)).epoch(0))
    assert batch.images[0, :12].min() > 240
    assert batch.images[0, -12:].max() < 15
    assert (batch.images.int() - theirs.images.int()).abs().float().mean() < 0.5


def test_a_manifest_without_labels_gives_minus_one(image_files: Manifest, build: Build) -> None:
    (batch,) = build(replace(image_files, labels=None), batch_size=23).epoch(0)
    np.testing.assert_array_equal(batch.labels, np.full(23, -1))


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    ("device", "index", "where"), [("cpu", None, "cpu"), ("cuda:1", 1, "gpu"), ("cuda", 3, "gpu")]
)
def test_dali_is_given_the_settings_and_the_device(
    image_files: Manifest, device: str, index: int | None, where: str
) -> None:
    planner = BatchPlanner.over(image_files, STEPS, LoaderSettings(1, 7))
    settings = LoaderSettings(5, prefetch=4, hw_decoder_load=0.3, decoder_affinity=True)
    loader = DaliLoader(planner, settings, torch.device(device))
    pipeline = loader._pipeline
    expected = {"batch_size": 7, "num_threads": 5, "device_id": index, "prefetch_queue_depth": 4}
    assert pipeline.given == expected
    assert pipeline.calls == ["enter", "set_outputs", "exit", "build"]
    program, *rest = pipeline.graph
    assert list(map(type, program.kernels)) == [Resize, Warp, Matrix]
    assert rest[::2] == [where, decoding_of(planner, settings)]


SIZES = np.array([[30, 40], [20, 70], [60, 10]], np.int32)
HINTS = {"preallocate_height_hint": 5, "preallocate_width_hint": 6}


@pytest.mark.parametrize(
    ("sizes", "given", "expected"),
    [
        (None, {}, Decoding()),
        (SIZES, {}, Decoding(size_hint=(60, 70))),
        (SIZES[:0], {}, Decoding()),
        (SIZES, HINTS, Decoding(size_hint=(5, 6))),
        (None, HINTS, Decoding(size_hint=(5, 6))),
        (
            None,
            {"hw_decoder_load": 0.0, "decoder_affinity": True, "jpeg_fancy_upsampling": False},
            Decoding(0.0, affine=True, jpeg_fancy_upsampling=False),
        ),
    ],
)
def test_the_decoder_is_told_what_the_settings_say_and_the_largest_size(
    image_files: Manifest, sizes: np.ndarray | None, given: dict, expected: Decoding
) -> None:
    planner = BatchPlanner.over(image_files, RESIZE, LoaderSettings(1, 7))
    count = 3 if sizes is None else len(sizes)
    planner = replace(planner, manifest=replace(image_files.take(np.arange(count)), sizes=sizes))
    assert decoding_of(planner, LoaderSettings(1, **given)) == expected


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_a_batch_is_taken_out_before_its_run_is_released_and_another_scheduled(
    build: Build, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = build(device=torch.device(device))
    pipeline, batches = loader._pipeline, loader.epoch(0)
    assert pipeline.calls[-3:] == ["schedule_run", "reset", "schedule_run"]
    pipeline.calls.clear()
    monkeypatch.setattr(module, "feed_ndarray", pipeline.feed)
    with FakeTensorMode():
        images = next(batches).images
    stream = None if device == "cpu" else "current stream of cuda:1"
    copied = [] if device == "cpu" else [("feed_ndarray", "cuda:1", True, stream)]
    assert pipeline.calls == [("share_outputs", stream), *copied, "release_outputs", "schedule_run"]
    assert (str(images.device), images.dtype, images.is_contiguous()) == (device, torch.uint8, True)


@pytest.mark.usefixtures("recorded")
def test_after_an_error_the_pipeline_is_not_used_again(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(pipeline: Recorder, cuda_stream: object = None) -> None:
        raise RuntimeError("no memory")

    loader = build(batch_size=23)
    failed = loader._pipeline
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "share_outputs", fail)
        patch.setattr(module, "failure", lambda paths, error: RunError(str(error)))
        with pytest.raises(RunError, match="no memory"):
            next(loader.epoch(0))
    before = len(failed.calls)
    assert len(list(loader.epoch(1))) == 1
    assert len(failed.calls) == before
    assert loader._pipeline.given == failed.given


def test_a_planner_whose_images_are_not_files_is_refused(image_files: Manifest) -> None:
    planner = replace(BatchPlanner.over(image_files, RESIZE, LoaderSettings(1)), decoder=lambda *given: None)
    with pytest.raises(SettingError, match=r"^--loader dali: opens image files itself"):
        DaliLoader(planner, LoaderSettings(1), CPU)


def test_what_dali_cannot_render_remains_with_the_batchs_own_parameters(build: Build) -> None:
    blur = step("gaussian_blur", kernel_size=3, sigma=[0.1, 2])
    loader = build(steps=(RESIZE[0], HorizontalFlip(), blur, NORMALIZE))
    for batch, plan in zip(loader.epoch(1), loader.planner.epoch(1), strict=True):
        (remaining,) = batch.remaining.kernels
        np.testing.assert_array_equal(remaining.rows, plan.program.kernels[-1].rows)
        assert batch.remaining.normalize == plan.program.normalize


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.gpu
@needs_cuda
def test_on_a_gpu_images_agree_with_those_of_the_cpu(build: Build) -> None:
    ours = list(build(device=torch.device("cuda", 0)).epoch(0))
    for a, b in zip(ours, build().epoch(0), strict=True):
        assert a.images.device.type == "cuda"
        np.testing.assert_array_equal(a.rows, b.rows)
        assert (a.images.cpu().int() - b.images.int()).abs().float().mean() < 1


@pytest.mark.gpu
@needs_cuda
def test_on_a_gpu_batches_are_in_order_with_any_stream(build: Build) -> None:
    loader = build(device=torch.device("cuda", 0))
    expected = [batch.images.cpu() for batch in loader.epoch(0)]
    with torch.cuda.stream(torch.cuda.Stream()):
        kept = []
        for batch in loader.epoch(0):
            torch.cuda._sleep(20_000_000)  # the stream is behind; DALI must not take the memory back before
            kept.append(batch.images + 0)
            del batch
        torch.cuda.current_stream().synchronize()
    assert all(torch.equal(a.cpu(), b) for a, b in zip(kept, expected, strict=True))

import gc
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from PIL import Image

from fastffdi.data.limits import LIMITS, Limits
from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import RunError, SettingError, UndecodableImage
from fastffdi.loaders import torchvision as module
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.loaders.torchvision import TorchvisionLoader
from fastffdi.recipe.program import EMPTY
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step
from fastffdi.render.device.stage import DeviceStage

CPU = torch.device("cpu")
END = STEPS["normalize"]((0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
EVAL = (STEPS["resize"]((40, 48)), END)

Make = Callable[..., TorchvisionLoader]


@pytest.fixture
def make() -> Iterator[Make]:
    """make(manifest): a loader with two workers over the images, closed after the test."""
    made = []

    def build(manifest: Manifest, steps: tuple[Step, ...] = EVAL, batch_size: int = 4) -> TorchvisionLoader:
        planner = BatchPlanner(manifest, Sampler(len(manifest), 5), CounterRNG(5), steps, batch_size)
        made.append(TorchvisionLoader(planner, LoaderSettings(2), CPU))
        return made[-1]

    yield build
    for loader in made:
        loader.close()
    assert not multiprocessing.active_children()


def test_images_are_those_of_the_cpu_loader_through_the_device_stage(make: Make, image_files: Manifest):
    baseline, stage = make(image_files), DeviceStage(CPU, torch.float32)
    # First: to fork workers while other threads are busy is to invite a crash.
    rendered = list(baseline.epoch(1))
    cpu = CpuLoader(baseline.planner, LoaderSettings(1))
    for ours, theirs in zip(cpu.epoch(1), rendered, strict=True):
        assert theirs.images.dtype == torch.float32
        assert theirs.remaining == EMPTY
        ours_image = stage(ours)
        theirs_image = stage(theirs)
        assert theirs_image.shape == ours_image.shape == (len(ours), 3, 40, 48)
        # Pillow rounds between the two passes of its resize: at most one pixel value, of 255 · 0.2.
        torch.testing.assert_close(theirs_image, ours_image, rtol=0, atol=1.01 / (255 * 0.2))
    cpu.close()


def test_batches_have_the_rows_and_labels_of_the_order(make: Make, image_files: Manifest):
    loader = make(image_files)
    batches = list(loader.epoch(3))
    rows = np.concatenate([batch.rows for batch in batches])
    assert len(batches) == len(loader) == 6
    np.testing.assert_array_equal(rows, Sampler(len(image_files), 5).epoch(3)[0])
    np.testing.assert_array_equal(
        np.concatenate([batch.labels for batch in batches]), image_files.labels[rows]
    )
    assert all(batch.valid.all() and batch.epoch == 3 for batch in batches)


def test_an_epoch_begun_later_is_the_tail_of_the_whole_one_even_after_another_was_abandoned(
    make: Make, image_files: Manifest
):
    loader = make(image_files)
    whole = list(loader.epoch(0))
    abandoned = loader.epoch(1)
    next(abandoned)
    abandoned.close()
    tail = list(loader.epoch(0, start=4))
    assert len(tail) == 2
    for ours, theirs in zip(tail, whole[4:], strict=True):
        np.testing.assert_array_equal(ours.rows, theirs.rows)
        assert torch.equal(ours.images, theirs.images)


def test_an_undecodable_image_stops_the_epoch_and_is_named(make: Make, image_files: Manifest, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(image_files.root, folder)
    (folder / "07.jpg").write_bytes(b"no image at all")
    with pytest.raises(UndecodableImage) as caught:
        list(make(replace(image_files, root=str(folder))).epoch(0))
    assert caught.value.path == str(folder / "07.jpg")
    assert str(caught.value).endswith(
        "cannot be decoded (not a JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF image); "
        "replace the file or take it off the list"
    )


def test_the_error_is_the_same_after_crossing_a_process():
    error = pickle.loads(pickle.dumps(UndecodableImage("a/b.jpg", "truncated")))
    assert (error.path, str(error)) == ("a/b.jpg", str(UndecodableImage("a/b.jpg", "truncated")))


def test_orientation_is_applied(make: Make, tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: what was left is on top
    dark_left = np.zeros((40, 80, 3), np.uint8)
    dark_left[:, 40:] = 255
    Image.fromarray(dark_left).save(tmp_path / "turned.jpg", exif=exif)
    (batch,) = make(Manifest(str(tmp_path), np.array(["turned.jpg"], object))).epoch(0)
    assert batch.images[0, :10].mean() < -1 < 1 < batch.images[0, -10:].mean()


def _broken(image: Image.Image) -> torch.Tensor:
    raise ValueError(f"no such {image.mode}\nat all")


def test_what_a_transform_raises_is_one_line(
    make: Make, image_files: Manifest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "composed", lambda steps: _broken)
    where = rf"at the batch that begins with {image_files.root}/\d+.jpg or soon after$"
    line = rf"^--loader torchvision: a worker process failed \(at all\) {where}"
    with pytest.raises(RunError, match=line):
        next(make(image_files).epoch(0))


def test_an_undecodable_image_is_named_wherever_it_is_in_its_batch_and_the_first_of_several():
    good, bad, worse = torch.zeros(3, 2, 2), UndecodableImage("b.jpg", "x"), UndecodableImage("c.jpg", "x")
    images, corrupt = module._collated([good, bad, good, worse])
    assert images.shape == (4, 3, 2, 2)
    assert corrupt == [(1, bad), (3, worse)]
    assert module._collated([good, good])[0].shape == (2, 3, 2, 2)
    assert module._collated([bad]) == (None, [(0, bad)])


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_images_of_any_kind_are_rgb(mode: str, tmp_path: Path):
    path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
    Image.new("RGB", (6, 4), (255, 255, 255)).convert(mode).save(path)
    image = module._opened(str(path), LIMITS)
    assert (image.mode, image.size, image.getpixel((3, 2))) == ("RGB", (6, 4), (255, 255, 255))


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ValueError(), "ValueError"), (OSError("two\nlines"), "two lines"), (SyntaxError("broken"), "broken")],
)
def test_whatever_pillow_raises_names_the_image(
    error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def fail(file: BinaryIO, limits: Limits) -> None:
        raise error

    (tmp_path / "b.jpg").write_bytes(b"any")
    monkeypatch.setattr(module, "rgb_image", fail)
    with pytest.raises(UndecodableImage, match=rf"/b.jpg: cannot be decoded \({reason}\)"):
        module._opened(str(tmp_path / "b.jpg"), LIMITS)


def test_a_file_too_long_is_refused_unread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with (tmp_path / "b.jpg").open("wb") as file:
        file.truncate(1 << 30)
    monkeypatch.setattr(module, "rgb_image", None)
    with pytest.raises(
        UndecodableImage, match=r"/b.jpg: cannot be decoded \(1,024 MiB, at most 512 MiB are read"
    ):
        module._opened(str(tmp_path / "b.jpg"), LIMITS)


@pytest.mark.parametrize("awaited", [True, False])
def test_a_worker_that_is_lost_is_reported_where_batches_are_awaited(
    make: Make, image_files: Manifest, awaited: bool, monkeypatch: pytest.MonkeyPatch
):
    if awaited:
        monkeypatch.setattr(module, "composed", lambda steps: _slow)
    loader = make(image_files, batch_size=1)
    batches = loader.epoch(0)
    if not awaited:
        next(batches)
    worker = loader._loader._iterator._workers[0]
    began = time.monotonic()
    os.kill(worker.pid, signal.SIGKILL)
    if not awaited:
        time.sleep(0.5)  # torch's own error would be raised here, or wherever the main thread is
    line = (
        r"^--loader torchvision: a worker process failed \(DataLoader worker \(pid \d+\) is killed by signal"
    )
    with pytest.raises(RunError, match=line) as caught:
        list(batches)
    assert f"at the batch that begins with {image_files.root}/" in str(caught.value)
    assert time.monotonic() - began < 30  # not the minutes that a batch takes


def test_a_worker_that_is_lost_between_epochs_is_reported_by_the_next(make: Make, image_files: Manifest):
    loader = make(image_files)
    list(loader.epoch(0))
    os.kill(loader._loader._iterator._workers[0].pid, signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(RunError, match=r"^--loader torchvision: a worker process failed") as caught:
        list(loader.epoch(1, 1))
    assert f"at the batch that begins with {image_files.root}/" in str(caught.value)
    assert time.monotonic() - began < 4  # torch alone takes 5 s


def _slow(image: Image.Image) -> torch.Tensor:
    time.sleep(300)
    return torch.zeros(3, 40, 48)


def test_workers_leave_signals_to_the_parent(make: Make, image_files: Manifest):
    loader = make(image_files)
    batches = loader.epoch(0)
    first = next(batches)
    for worker in loader._loader._iterator._workers:
        os.kill(worker.pid, signal.SIGINT)
        os.kill(worker.pid, signal.SIGTERM)
    assert len(first) + sum(len(batch) for batch in batches) == len(image_files)


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("cuda", True)])
def test_the_dataloader_is_given_the_settings(
    device: str, pinned: bool, image_files: Manifest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "DataLoader", lambda dataset, **given: given)
    planner = BatchPlanner(image_files, Sampler(len(image_files), 5), CounterRNG(5), EVAL, 7)
    given = TorchvisionLoader(planner, LoaderSettings(6), torch.device(device))._loader
    assert (given["num_workers"], given["pin_memory"], given["persistent_workers"]) == (6, pinned, True)
    assert [len(rows) for rows in given["batch_sampler"]] == [7, 7, 7, 2]


def test_the_short_batch_is_left_out_where_the_planner_says_so(image_files: Manifest):
    whole = BatchPlanner(image_files, Sampler(len(image_files), 5), CounterRNG(5), EVAL, 7)
    loader = TorchvisionLoader(replace(whole, drop_last=True), LoaderSettings(1), CPU)
    assert [len(rows) for rows in loader._batches] == [7, 7, 7]
    assert len(loader) == 3


def test_closing_twice_and_before_any_epoch_is_no_error(make: Make, image_files: Manifest):
    loader = make(image_files)
    loader.close()
    list(loader.epoch(0, 5))
    loader.close()
    loader.close()
    assert not multiprocessing.active_children()


def test_as_many_workers_as_asked_for_is_no_reason_to_warn(image_files: Manifest):
    planner = BatchPlanner(image_files, Sampler(len(image_files), 5), CounterRNG(5), EVAL, 7)
    assert TorchvisionLoader(planner, LoaderSettings(5000), CPU)._loader.num_workers == 5000


def test_images_that_are_not_files_are_refused(image_files: Manifest):
    planner = BatchPlanner.over(image_files, EVAL, LoaderSettings(1))
    with pytest.raises(SettingError, match=r"^--loader torchvision: opens image files itself"):
        TorchvisionLoader(replace(planner, decoder=lambda *given: None), LoaderSettings(1), CPU)


def test_garbage_is_collected_before_workers_are_forked_where_there_is_dali(
    make, image_files: Manifest, monkeypatch: pytest.MonkeyPatch
):
    class Cycle:
        pass

    monkeypatch.setitem(sys.modules, "nvidia.dali.pipeline", object())
    cycle = Cycle()
    cycle.itself = cycle
    seen = weakref.ref(cycle)
    gc.disable()
    try:
        del cycle
        next(make(image_files).epoch(0))
        assert seen() is None
    finally:
        gc.enable()

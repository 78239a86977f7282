import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from recipes import NORMALIZE

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import RunError, UndecodableImage
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.cpu import CpuLoader, reach
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.program import Program
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import STEPS
from fastffdi.render.cpu.decode import decode_path
from fastffdi.render.cpu.renderer import render
from fastffdi.render.device.stage import DeviceStage

JITTER, FLIP = STEPS["color_jitter"].read({"brightness": 0.4, "hue": 0.2}), STEPS["horizontal_flip"]()
TURN = STEPS["random_rotation"].read({"degrees": 25})
RECIPES = {
    "sizes unknown": (STEPS["resize"]((40, 48)), FLIP, TURN, JITTER, NORMALIZE),
    "sizes needed": (STEPS["random_resized_crop"]((40, 48)), FLIP, JITTER, NORMALIZE),
    "two to one size": (STEPS["resize"](48), STEPS["center_crop"]((40, 48)), FLIP, NORMALIZE),
}

Make = Callable[..., CpuLoader]


@pytest.fixture(params=list(RECIPES))
def make(request: pytest.FixtureRequest, image_files: Manifest) -> Iterator[Make]:
    """make(...): a loader of one of the recipes over the images, closed after the test."""
    steps, made = RECIPES[request.param], []
    manifest = replace(image_files, sizes=None) if request.param == "sizes unknown" else image_files

    def build(
        threads: int = 2, batch_size: int = 4, prefetch: int = 2, rank: int = 0, world: int = 1, **options
    ) -> CpuLoader:
        sampler = Sampler(len(manifest), 5, rank=rank, world=world)
        planner = BatchPlanner(manifest, sampler, CounterRNG(5), steps, batch_size)
        made.append(CpuLoader(planner, LoaderSettings(threads, prefetch=prefetch), **options))
        return made[-1]

    yield build
    for loader in made:
        loader.close()


def by_row(batches: Iterator[Batch] | list[Batch]) -> dict[int, bytes]:
    """Each image's bytes by its row."""
    return {
        int(row): image.numpy().tobytes()
        for batch in batches
        for row, image in zip(batch.rows, batch.images, strict=True)
    }


def same(ours: list[Batch], theirs: list[Batch]) -> bool:
    pairs = list(zip(ours, theirs, strict=True))
    return all(np.array_equal(a.rows, b.rows) and torch.equal(a.images, b.images) for a, b in pairs)


def test_images_are_those_of_decoder_and_renderer(make: Make) -> None:
    loader = make()
    batch = next(loader.epoch(0))
    (path, *_), image = loader.planner.manifest.paths(batch.rows), batch.images[0].numpy()
    program = next(loader.planner.epoch(0)).program
    assert image.shape == (40, 48, 3)
    assert np.array_equal(image, render(decode_path(path), program, 0))
    assert batch.remaining == Program((), program.normalize)


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_change_no_bit(threads: int, make: Make) -> None:
    assert same(list(make(threads).epoch(3)), list(make(2).epoch(3)))


@pytest.mark.parametrize("batch_size", [1, 7, 16, 64])
def test_the_batch_size_changes_no_bit(batch_size: int, make: Make) -> None:
    assert by_row(make(batch_size=batch_size).epoch(3)) == by_row(make().epoch(3))


def test_two_shards_make_one_whole(make: Make) -> None:
    halves = [by_row(make(rank=rank, world=2).epoch(3)) for rank in (0, 1)]
    assert not halves[0].keys() & halves[1].keys()
    assert halves[0] | halves[1] == by_row(make().epoch(3))


@pytest.mark.parametrize("start", [1, 3, 5, 6])
def test_starting_late_gives_the_tail(start: int, make: Make) -> None:
    loader = make()
    assert same(list(loader.epoch(2, start)), list(loader.epoch(2))[start:])


@pytest.mark.parametrize("prefetch", [0, 1, 50])
def test_rendering_ahead_changes_no_bit(prefetch: int, make: Make) -> None:
    assert same(list(make(prefetch=prefetch).epoch(1)), list(make().epoch(1)))


def test_the_last_batch_may_be_short(make: Make) -> None:
    loader = make()
    assert [len(batch.images) for batch in loader.epoch(0)] == [4, 4, 4, 4, 4, 3]
    assert len(loader) == 6


def test_epochs_differ_and_come_again(make: Make) -> None:
    loader = make()
    first, second, again = (by_row(loader.epoch(epoch)) for epoch in (0, 1, 0))
    assert first == again
    assert first != second or "center_crop" in str(loader.planner.steps)


def test_an_abandoned_epoch_leaves_the_loader_usable(make: Make) -> None:
    loader = make()
    abandoned = loader.epoch(0)
    next(abandoned)
    abandoned.close()
    assert same(list(loader.epoch(1)), list(make().epoch(1)))


def test_two_epochs_can_run_side_by_side(make: Make) -> None:
    loader = make()
    pairs = list(zip(loader.epoch(0), loader.epoch(1), strict=True))
    assert same([a for a, _ in pairs], list(loader.epoch(0)))
    assert same([b for _, b in pairs], list(loader.epoch(1)))


def test_a_batch_is_never_written_to_again(make: Make) -> None:
    loader = make(prefetch=1)
    kept, copies = [], []
    for batch in (*loader.epoch(0), *loader.epoch(1)):
        kept.append(batch.images)
        copies.append(batch.images.clone())
    assert all(torch.equal(images, copy) for images, copy in zip(kept, copies, strict=True))
    assert len({images.data_ptr() for images in kept}) == len(kept)


def test_where_the_loader_stops_does_not_matter(make: Make) -> None:
    stage = DeviceStage(torch.device("cpu"), torch.float32)
    for far, near in zip(make().epoch(0), make(beyond=False).epoch(0), strict=True):
        assert len(near.remaining) >= len(far.remaining) == 0
        difference = stage(far) - stage(near)
        pixel_values = difference.abs() * 0.25 * 255
        assert pixel_values.mean() <= 0.6
        assert (pixel_values > 4).float().mean() <= 0.002


def test_without_beyond_it_stops_at_the_sizing_point(make: Make) -> None:
    loader = make(beyond=False)
    batch, program = next(loader.epoch(0)), next(loader.planner.epoch(0)).program
    rendered = 2 if any(step.name() == "center_crop" for step in loader.planner.steps) else 1
    assert [type(kernel) for kernel in batch.remaining.kernels] == list(map(type, program.kernels[rendered:]))
    assert batch.remaining.normalize == program.normalize
    assert batch.images.shape[1:] == (40, 48, 3)


@pytest.mark.parametrize(("prefix_steps", "beyond", "count"), [(0, False, 1), (1, False, 0), (1, True, 3)])
def test_what_the_decoder_has_brought_to_one_size_need_not_be_rendered(
    prefix_steps: int, beyond: bool, count: int, image_files: Manifest
) -> None:
    planner = BatchPlanner.over(image_files, RECIPES["sizes unknown"], LoaderSettings(1))
    reached, size = reach(replace(planner, prefix_steps=prefix_steps), beyond)
    assert (reached.count, size) == (count, (40, 48))


@pytest.fixture
def three_threads() -> Iterator[None]:
    """torch with three threads, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_torchs_threads_are_left_as_they_were(make: Make) -> None:
    loader = make(threads=3)
    list(loader.epoch(0))
    inside = {loader._threads.submit(torch.get_num_threads).result() for _ in range(12)}
    assert inside == {1}
    assert torch.get_num_threads() == 3
    with ThreadPoolExecutor(1) as other:
        assert other.submit(torch.get_num_threads).result() == 3


@pytest.fixture
def spoilt(image_files: Manifest, tmp_path: Path) -> Iterator[CpuLoader]:
    """A loader in the order of names, in which image 9 of 23 can be spoilt."""
    root = tmp_path / "copy"
    shutil.copytree(image_files.root, root)
    sampler = Sampler(len(image_files), shuffle=False)
    planner = BatchPlanner(
        replace(image_files, root=str(root)), sampler, CounterRNG(0), RECIPES["sizes needed"], 4
    )
    loader = CpuLoader(planner, LoaderSettings(2))
    yield loader
    loader.close()


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:300])])
def test_a_spoilt_image_stops_the_epoch_by_its_name(spoilt: CpuLoader, spoil: Callable) -> None:
    victim = Path(spoilt.planner.manifest.root, "09.jpg")
    spoil(victim)
    batches = spoilt.epoch(0)
    assert [next(batches).rows[0], next(batches).rows[0]] == [0, 4]
    with pytest.raises(UndecodableImage, match=f"^{victim}: cannot be decoded"):
        next(batches)


def test_after_a_spoilt_image_the_loader_goes_on(spoilt: CpuLoader) -> None:
    victim = Path(spoilt.planner.manifest.root, "09.jpg")
    whole, before = victim.read_bytes(), by_row(spoilt.epoch(0))
    victim.unlink()
    with pytest.raises(UndecodableImage):
        list(spoilt.epoch(0))
    assert [batch.rows[0] for batch in spoilt.epoch(0, 3)] == [12, 16, 20]
    victim.write_bytes(whole)
    assert by_row(spoilt.epoch(0)) == before


class Sleepy:
    """A decoder that takes its time, and counts the threads that are in it."""

    at_work = 0

    def __call__(self, row: int, path: str, prefix: Program, program: Program, i: int) -> np.ndarray:
        self.at_work += 1
        time.sleep(0.01)
        self.at_work -= 1
        return np.zeros((64, 64, 3), np.uint8)


def test_when_an_epoch_is_closed_no_thread_works_on_it(spoilt: CpuLoader) -> None:
    decoder, settings = Sleepy(), LoaderSettings(2, prefetch=5)
    with closing(CpuLoader(replace(spoilt.planner, decoder=decoder), settings)) as loader:
        batches = loader.epoch(0)
        next(batches)
        batches.close()
        assert decoder.at_work == 0


def test_batches_lie_in_the_memory_that_was_allocated_for_them(spoilt: CpuLoader) -> None:
    given: list[torch.Tensor] = []

    def allocate(count: int) -> torch.Tensor:
        given.append(torch.empty((count, 40, 48, 3), dtype=torch.uint8))
        return given[-1]

    with closing(CpuLoader(spoilt.planner, LoaderSettings(2), allocate=allocate)) as loader:
        batches = list(loader.epoch(0))
    assert [batch.images.data_ptr() for batch in batches] == [memory.data_ptr() for memory in given]
    assert same(batches, list(spoilt.epoch(0)))


def test_a_failure_names_its_image(spoilt: CpuLoader) -> None:
    def fail(row: int, path: str, prefix: Program, program: Program, i: int) -> np.ndarray:
        raise ValueError("two\nlines")

    with closing(CpuLoader(replace(spoilt.planner, decoder=fail), LoaderSettings(1))) as loader:
        path = spoilt.planner.manifest.paths(slice(0, 1))[0]
        with pytest.raises(RunError, match=f"^{path}: cannot be rendered .ValueError: two lines.; take"):
            next(loader.epoch(0))


def test_threads_work_on_spans_of_one_batch_at_once(image_files: Manifest) -> None:
    """Three threads meet in the three spans of a batch of 23; fewer would wait in vain."""
    together = threading.Barrier(3)

    def meet(row: int, path: str, prefix: Program, program: Program, i: int) -> np.ndarray:
        if i % 8 == 0:
            together.wait(20)
        return np.zeros((64, 64, 3), np.uint8)

    planner = BatchPlanner.over(image_files, RECIPES["sizes unknown"], LoaderSettings(1, 23))
    with closing(CpuLoader(replace(planner, decoder=meet), LoaderSettings(3))) as loader:
        assert len(next(loader.epoch(0))) == 23


def test_one_thread_is_one_thread(spoilt: CpuLoader) -> None:
    seen = set()

    def look(row: int, path: str, prefix: Program, program: Program, i: int) -> np.ndarray:
        seen.add(threading.get_ident())
        return np.zeros((64, 64, 3), np.uint8)

    with closing(CpuLoader(replace(spoilt.planner, decoder=look), LoaderSettings(1))) as loader:
        list(loader.epoch(0))
    assert len(seen) == 1


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_so_many_batches_are_begun_before_the_first_is_given(prefetch: int, spoilt: CpuLoader) -> None:
    begun = []

    def allocate(count: int) -> torch.Tensor:
        begun.append(count)
        return torch.empty((count, 40, 48, 3), dtype=torch.uint8)

    with closing(
        CpuLoader(spoilt.planner, LoaderSettings(2, prefetch=prefetch), allocate=allocate)
    ) as loader:
        batches = loader.epoch(0)
        for given in (1, 2):
            next(batches)
            assert len(begun) == prefetch + given


def test_images_are_page_locked_where_that_is_asked_for(
    spoilt: CpuLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, asked = torch.empty, []
    monkeypatch.setattr(
        torch, "empty", lambda *size, pin_memory, **more: asked.append(pin_memory) or empty(*size, **more)
    )
    for pinned in (True, False):
        with closing(CpuLoader(spoilt.planner, LoaderSettings(1), pinned=pinned)) as loader:
            assert len(list(loader.epoch(0))) == 6
    assert asked == [True] * 6  # the others are from the loader's pool


def test_when_an_epoch_fails_no_thread_works_on_it(image_files: Manifest) -> None:
    sleepy = Sleepy()

    def fail(row: int, path: str, prefix: Program, program: Program, i: int) -> np.ndarray:
        if i == 0:
            raise ValueError
        return sleepy(row, path, prefix, program, i)

    planner = BatchPlanner.over(image_files, RECIPES["sizes unknown"], LoaderSettings(1, 16))
    with closing(CpuLoader(replace(planner, decoder=fail), LoaderSettings(2, prefetch=1))) as loader:
        with pytest.raises(RunError):
            next(loader.epoch(0))
        assert sleepy.at_work == 0


def test_closing_ends_the_threads(spoilt: CpuLoader) -> None:
    next(spoilt.epoch(0))
    threads = spoilt._threads._pool._threads
    assert threads  # of two; the second is started only while the first is at work
    spoilt.close()
    assert not any(thread.is_alive() for thread in threads)


def test_a_failure_names_its_image_wherever_it_is_in_the_batch(spoilt: CpuLoader) -> None:
    def fail(row: int, path: str, prefix: Program, program: Program, i: int) -> np.ndarray:
        if row == 6:
            raise MemoryError("no room")
        return np.zeros((64, 64, 3), np.uint8)

    with closing(CpuLoader(replace(spoilt.planner, decoder=fail), LoaderSettings(2))) as loader:
        batches = loader.epoch(0)
        assert next(batches).rows.tolist() == [0, 1, 2, 3]
        with pytest.raises(RunError, match=r"/06\.jpg: cannot be rendered .MemoryError: no room.; take"):
            next(batches)


def test_the_decoder_is_given_row_path_and_what_the_loader_renders(spoilt: CpuLoader) -> None:
    asked = []

    def look(row: int, path: str, prefix: Program, program: Program, i: int) -> np.ndarray:
        asked.append((row, path, i, len(prefix), [type(kernel).__name__ for kernel in program.kernels]))
        return np.zeros((64, 64, 3), np.uint8)

    planner = replace(spoilt.planner, decoder=look)
    with closing(CpuLoader(planner, LoaderSettings(1, prefetch=0), beyond=False)) as loader:
        next(loader.epoch(0, 2))
    paths = spoilt.planner.manifest.paths()
    assert asked == [(row, paths[row], row - 8, 0, ["Resize"]) for row in (8, 9, 10, 11)]


def test_opencv_has_no_threads_of_its_own(spoilt: CpuLoader) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        CpuLoader(spoilt.planner, LoaderSettings(1)).close()
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


def test_an_epoch_begins_when_it_is_asked_for(image_files: Manifest) -> None:
    begun = threading.Event()

    def decode(row: int, path: str, *program: object) -> np.ndarray:
        begun.set()
        return decode_path(path)

    planner = BatchPlanner.over(image_files, RECIPES["sizes unknown"], LoaderSettings(1, 4))
    with closing(CpuLoader(replace(planner, decoder=decode), LoaderSettings(1, prefetch=1))) as loader:
        batches = loader.epoch(0)
        assert begun.wait(30)
        del batches

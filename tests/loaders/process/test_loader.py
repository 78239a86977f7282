import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from recipes import NORMALIZE
from sync import nothing_waits

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import RecipeError, RunError, UndecodableImage
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.process import loader as process
from fastffdi.loaders.process.child import listen
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.process.messages import BatchReady, Inbox, ReleaseSlot, Request
from fastffdi.loaders.process.ring import Ring
from fastffdi.loaders.process.transfer import ToCpu, Transfer
from fastffdi.loaders.process.worker import Job, Worker
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import STEPS

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
RECIPE = (STEPS["random_resized_crop"]((20, 24)), STEPS["color_jitter"].read({"hue": 0.2}), NORMALIZE)


@pytest.fixture
def planner(image_files: Manifest) -> BatchPlanner:
    return BatchPlanner(image_files, Sampler(len(image_files), 3), CounterRNG(3), RECIPE, 4)


def agree(ours: list[Batch], theirs: list[Batch]) -> bool:
    return len(ours) == len(theirs) and all(
        torch.equal(a.images, b.images)
        and np.array_equal(a.rows, b.rows)
        and np.array_equal(a.labels, b.labels)
        and (a.epoch, len(a.remaining), a.views) == (b.epoch, len(b.remaining), b.views)
        and a.remaining.normalize == b.remaining.normalize
        for a, b in zip(ours, theirs, strict=True)
    )


# With the child's work on threads of this process: quick enough for every order of events.


class Threads:
    """Stands in for the child: what it does, on two threads."""

    returncode = None

    def __init__(self, job: Job, memory: BinaryIO, pipe: Connection) -> None:
        self.pipe, self.inbox = pipe, Inbox(job.shape[0])
        self.worker = Worker(job, memory, self.inbox, pipe.send)
        self.threads = [threading.Thread(target=target) for target in (self.listen, self.worker.run)]
        for thread in self.threads:
            thread.start()

    def listen(self) -> None:
        listen(self.pipe, self.inbox)
        self.inbox.end()

    def poll(self) -> None:
        return None

    def send_signal(self, number: int) -> None:
        assert number == 0

    def wait(self, seconds: float) -> None:
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()
        self.pipe.close()


class LateCopy:
    """A copy that is made when it is waited for: as late as CUDA may make it."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images, self.copy, self.done = images, torch.zeros_like(images), False

    def query(self) -> bool:
        return self.done

    def synchronize(self) -> None:
        if not self.done:
            self.copy.copy_(self.images)
        self.done = True


class Impatient(Connection):
    """The parent's end of the pipe; a report that never comes fails, and does not hang."""

    def recv(self) -> Any:
        assert self.poll(10), "no report for ten seconds"
        return super().recv()


def on_threads(job: Job, memory: BinaryIO) -> tuple[Threads, Connection]:
    ours, theirs = Pipe()
    with ours:
        return Threads(job, memory, theirs), Impatient(os.dup(ours.fileno()))


def late_copies(device: torch.device) -> Callable:
    def copy(images: torch.Tensor) -> tuple[torch.Tensor, LateCopy]:
        late = LateCopy(images)
        return late.copy, late

    return copy


@pytest.fixture
def threaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_start", on_threads)


@pytest.mark.usefixtures("threaded")
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=(Phase.generate,),  # no shrinking: a failure may be ten seconds without a report
)
@given(
    threads=st.integers(1, 3),
    prefetch=st.integers(0, 5),
    batch_size=st.sampled_from([1, 2, 3, 4, 7, 23, 30]),
    visits=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(1, 9)), max_size=5),
    late=st.booleans(),
)
def test_batches_are_the_cpu_loaders_whatever_came_before(
    planner: BatchPlanner, monkeypatch, threads, prefetch, batch_size, visits, late
) -> None:
    planner = replace(planner, batch_size=batch_size)
    found, expected = [], []
    with monkeypatch.context() as patch, closing(CpuLoader(planner, LoaderSettings(1))) as theirs:
        if late:
            patch.setattr(process, "copying", late_copies)
        with closing(ProcessLoader(planner, LoaderSettings(threads, prefetch=prefetch), CPU)) as ours:
            for epoch, start, count in (*visits, (1, 0, 99)):
                found += islice(ours.epoch(epoch, start), count)
                expected += islice(theirs.epoch(epoch, start), count)
    assert agree(found, expected)  # when closing has waited for the last copies


@pytest.mark.usefixtures("threaded")
def test_epochs_given_up_leave_no_slot_behind(planner: BatchPlanner) -> None:
    with closing(ProcessLoader(planner, LoaderSettings(1, prefetch=2), CPU)) as loader:
        for epoch in range(6):
            next(loader.epoch(epoch))
        assert len(list(loader.epoch(0))) == 6
    assert sorted(loader._child.inbox._free) == [0, 1, 2, 3]


@pytest.mark.usefixtures("threaded")
def test_a_slot_is_kept_while_it_is_copied_out(planner: BatchPlanner, monkeypatch) -> None:
    monkeypatch.setattr(process, "copying", late_copies)
    with closing(ProcessLoader(planner, LoaderSettings(1, prefetch=1), CPU)) as loader:
        batches = loader.epoch(0)
        for _ in range(4):
            next(batches)
            assert len(loader._transfer._in_flight) <= 2
        assert not any(event.done for _, event in loader._transfer._in_flight)


@pytest.mark.usefixtures("threaded")
def test_a_slot_is_released_once_and_only_when_its_copy_has_completed(
    planner: BatchPlanner, monkeypatch
) -> None:
    monkeypatch.setattr(process, "copying", late_copies)
    copies, released = [], []
    take, request = Transfer.take, ProcessLoader._request

    def taken(self: Transfer, slot: int, images: torch.Tensor) -> torch.Tensor:
        copy = take(self, slot, images)
        copies.append(self._in_flight[-1])
        return copy

    def requested(self: ProcessLoader, what: Request) -> None:
        if isinstance(what, ReleaseSlot):
            slot, copy = copies[len(released)]
            assert (what.slot, copy.done) == (slot, True)
            released.append(slot)
        request(self, what)

    monkeypatch.setattr(Transfer, "take", taken)
    monkeypatch.setattr(ProcessLoader, "_request", requested)
    with closing(ProcessLoader(planner, LoaderSettings(1, prefetch=1), CPU)) as loader:
        assert len(list(loader.epoch(0))) == 6
    assert (len(copies), len(released)) == (6, 4)  # the last two are in flight at the end


@pytest.mark.usefixtures("threaded")
def test_for_cuda_the_slots_are_page_locked_and_copied_to_the_device(
    planner: BatchPlanner, monkeypatch
) -> None:
    asked = []
    monkeypatch.setattr(process, "copying", lambda device: asked.append(device) or ToCpu())
    monkeypatch.setattr(Ring, "page_lock", lambda ring: asked.append(ring))
    monkeypatch.setattr(Ring, "close", lambda ring: asked.append("closed"))
    for device in (CPU, torch.device("cuda", 1)):
        with closing(ProcessLoader(planner, LoaderSettings(1), device)) as loader:
            assert next(loader.epoch(0)).images.shape == (4, 20, 24, 3)
    assert asked == [CPU, "closed", torch.device("cuda", 1), loader._ring, "closed"]


@pytest.mark.usefixtures("threaded")
def test_of_an_epoch_that_is_cancelled_slots_are_released_and_errors_have_none(
    planner: BatchPlanner, monkeypatch
) -> None:
    late = [BatchReady(6, error=RunError("of an epoch that is over")), BatchReady(6, 2), BatchReady(7, 1)]
    released = []
    with closing(ProcessLoader(planner, LoaderSettings(1), CPU)) as loader:
        monkeypatch.setattr(loader, "_receive", lambda plan: late.pop(0))
        monkeypatch.setattr(loader, "_release", released.extend)
        assert loader._rendered(7, None) == BatchReady(7, 1)
    assert released == [2]


@pytest.mark.usefixtures("threaded")
@pytest.mark.parametrize(
    ("prefetch", "batch_size", "shape"),
    [(0, 4, (3, 4, 20, 24, 3)), (5, 4, (7, 4, 20, 24, 3)), (2, 99, (4, 23, 20, 24, 3))],
)
def test_slots_are_two_more_than_rendered_ahead_and_no_larger_than_batches(
    planner: BatchPlanner, prefetch: int, batch_size: int, shape: tuple[int, ...]
) -> None:
    planner = replace(planner, batch_size=batch_size)
    with closing(ProcessLoader(planner, LoaderSettings(1, prefetch=prefetch), CPU)) as loader:
        assert loader._ring.slots.shape == shape


@pytest.mark.usefixtures("threaded")
def test_the_child_has_the_settings(planner: BatchPlanner) -> None:
    with closing(ProcessLoader(planner, LoaderSettings(3, prefetch=4), CPU)) as loader:
        inside = loader._child.worker._loader
        assert (inside._threads._pool._max_workers, inside._prefetch) == (3, 4)


@pytest.mark.usefixtures("threaded")
def test_a_batch_is_never_written_to_again(planner: BatchPlanner) -> None:
    with closing(ProcessLoader(planner, LoaderSettings(2, prefetch=0), CPU)) as loader:
        kept = [(batch.images, batch.images.clone()) for epoch in (0, 1) for batch in loader.epoch(epoch)]
    assert all(torch.equal(images, copy) for images, copy in kept)


@pytest.mark.usefixtures("threaded")
def test_without_beyond_it_stops_at_the_sizing_point(planner: BatchPlanner) -> None:
    with (
        closing(ProcessLoader(planner, LoaderSettings(1), CPU, beyond=False)) as ours,
        closing(CpuLoader(planner, LoaderSettings(1), beyond=False)) as theirs,
    ):
        batches = list(ours.epoch(0))
        assert {len(batch.remaining) for batch in batches} == {1}
        assert agree(batches, list(theirs.epoch(0)))


@pytest.mark.usefixtures("threaded")
def test_two_epochs_at_once_are_refused(planner: BatchPlanner) -> None:
    with closing(ProcessLoader(planner, LoaderSettings(1), CPU)) as loader:
        first = loader.epoch(0)
        next(first)
        next(loader.epoch(1))
        with pytest.raises(AssertionError, match="two epochs at once"):
            next(first)


@pytest.mark.usefixtures("threaded")
def test_after_closing_it_says_so(planner: BatchPlanner) -> None:
    loader = ProcessLoader(planner, LoaderSettings(1), CPU)
    batches = loader.epoch(0)
    next(batches)
    loader.close()
    loader.close()
    for go_on in (lambda: next(batches), lambda: loader.epoch(1)):
        with pytest.raises(RunError, match="--loader cpu: the loader is closed"):
            go_on()


def test_a_recipe_it_cannot_render_is_refused_before_a_process_starts(
    planner: BatchPlanner, monkeypatch
) -> None:
    monkeypatch.setattr(process, "_start", None)
    function = STEPS["python"].read({"function": "os:getcwd"})
    with pytest.raises(RecipeError, match="--loader cpu cannot render Python"):
        ProcessLoader(replace(planner, steps=(function, *RECIPE)), LoaderSettings(1), CPU)


def test_a_program_that_cannot_be_started_is_reported(planner: BatchPlanner, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(RunError, match=r"its child process cannot be started .*; use --no-loader-process"):
        ProcessLoader(planner, LoaderSettings(1), CPU)


# With a real child.


@pytest.fixture(scope="module")
def copied(image_files: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images where they may be spoilt."""
    root = tmp_path_factory.mktemp("copied")
    for path in image_files.paths():
        (root / Path(path).name).write_bytes(Path(path).read_bytes())
    return root


@pytest.fixture(scope="module")
def loader(image_files: Manifest, copied: Path) -> Iterator[ProcessLoader]:
    """A loader with a child of its own, over the copied images in the order of their names."""
    manifest = replace(image_files, root=str(copied))
    planner = BatchPlanner(manifest, Sampler(len(manifest), shuffle=False), CounterRNG(3), RECIPE, 4)
    with closing(ProcessLoader(planner, LoaderSettings(2), CPU)) as loader:
        yield loader


def test_batches_of_the_process_are_the_cpu_loaders(loader: ProcessLoader) -> None:
    with closing(CpuLoader(loader.planner, LoaderSettings(1))) as theirs:
        for epoch, start in ((0, 0), (3, 2)):
            assert agree(list(loader.epoch(epoch, start)), list(theirs.epoch(epoch, start)))
    assert len(loader) == 6


def test_a_bad_image_is_raised_by_its_name_and_the_loader_goes_on(
    loader: ProcessLoader, copied: Path
) -> None:
    victim = copied / "09.jpg"
    whole, before = victim.read_bytes(), list(loader.epoch(1))
    victim.write_bytes(whole[:300])
    batches = loader.epoch(1)
    assert [next(batches).rows[0], next(batches).rows[0]] == [0, 4]
    with pytest.raises(UndecodableImage, match=f"^{victim}: cannot be decoded"):
        next(batches)
    victim.write_bytes(whole)
    assert agree(list(loader.epoch(1)), before)


def test_it_shares_memory_without_a_name_and_keeps_no_file_of_the_parents(loader: ProcessLoader) -> None:
    next(loader.epoch(0))  # the child has started, and closed what it was started with
    open_files = {os.readlink(path) for path in Path(f"/proc/{loader._child.pid}/fd").iterdir()}
    named = {file for file in open_files if file.startswith("/") and not file.startswith("/dev/null")}
    assert "/memfd:fastffdi-ring (deleted)" in named
    assert not any("/dev/shm" in file or "fastffdi-job" in file for file in named)
    assert sum(file.startswith("socket:") for file in open_files) == 1


def test_a_killed_child_is_told_of_by_whichever_loader_is_asked(planner: BatchPlanner, loader) -> None:
    with closing(ProcessLoader(planner, LoaderSettings(1), CPU)) as other:
        batches = loader.epoch(0)
        next(batches)
        other._child.kill()
        other._child.wait()
        with pytest.raises(
            RunError, match=rf"signal 9: .* begins with {planner.manifest.paths()[0]} or soon"
        ):
            list(batches)
        assert len(list(loader.epoch(1))) == len(loader)


def test_a_killed_child_is_told_of_by_signal_and_image(loader: ProcessLoader, copied: Path) -> None:
    batches = loader.epoch(0)
    received = [next(batches)]
    loader._child.kill()
    loader._child.wait()
    with pytest.raises(RunError) as caught:
        received.extend(batch for batch in batches)
    how = "(signal 9: Killed, perhaps for lack of memory)"
    where = f"at the batch that begins with {copied}/{4 * len(received):02d}.jpg or soon after"
    assert str(caught.value).startswith(f"--loader cpu: its child process ended {how} {where}; lower")
    with pytest.raises(RunError, match="or its process has ended"):
        next(loader.epoch(0))


@pytest.fixture
def starting(planner: BatchPlanner) -> Iterator[ProcessLoader]:
    """A loader whose child has only begun to import what it needs."""
    with closing(ProcessLoader(planner, LoaderSettings(1), CPU)) as loader:
        yield loader


def test_closing_leaves_neither_process_nor_zombie(starting: ProcessLoader) -> None:
    starting.close()
    assert starting._child.returncode is not None
    with pytest.raises(ChildProcessError):
        os.waitpid(starting._child.pid, os.WNOHANG)


def test_closing_does_not_depend_on_who_else_has_the_pipe_open(starting: ProcessLoader) -> None:
    with open(os.dup(starting._pipe.fileno())):
        starting.close()
    assert starting._child.returncode == 0


def test_a_child_that_does_not_end_is_ended(starting: ProcessLoader, monkeypatch) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", -0.9)
    starting._child.send_signal(signal.SIGSTOP)
    starting.close()
    assert starting._child.returncode == -signal.SIGKILL


def test_the_garbage_collector_ends_it_too(planner: BatchPlanner) -> None:
    loader = ProcessLoader(planner, LoaderSettings(1), CPU)
    batches, child = loader.epoch(0), loader._child
    del loader, batches
    assert child.returncode is not None


def test_a_fork_of_the_parent_leaves_the_child_alone() -> None:
    ours, theirs = Pipe()
    with theirs:
        process._stop(None, ours, None, None, owner=-1)
        assert theirs.poll()  # closed on this side


def test_the_child_is_not_interrupted(starting: ProcessLoader) -> None:
    status = Path(f"/proc/{starting._child.pid}/status").read_text()
    blocked = int(status.partition("SigBlk:\t")[2].split()[0], 16)
    assert all(blocked >> (number - 1) & 1 for number in (signal.SIGINT, signal.SIGTERM))
    assert not {signal.SIGINT, signal.SIGTERM} & signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_child_that_never_begins_is_reported(planner: BatchPlanner, monkeypatch) -> None:
    monkeypatch.setattr(process, "_CODE", "raise SystemExit(3)")
    line = r"its child process ended \(exit code 3\) at the batch"
    with (
        closing(ProcessLoader(planner, LoaderSettings(1), CPU)) as loader,
        pytest.raises(RunError, match=line),
    ):
        next(loader.epoch(0))


def test_what_fails_at_the_childs_start_is_reported(planner: BatchPlanner, monkeypatch) -> None:
    gone = ModuleType("gone")
    gone.Decoder = type("Decoder", (), {"__module__": "gone"})
    monkeypatch.setitem(sys.modules, "gone", gone)
    with closing(ProcessLoader(replace(planner, decoder=gone.Decoder()), LoaderSettings(1), CPU)) as loader:
        line = "^--loader cpu: the child process failed .ModuleNotFoundError: No module named 'gone'.; "
        with pytest.raises(RunError, match=line):
            next(loader.epoch(0))


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.gpu
@needs_cuda
def test_on_a_gpu_batches_arrive_whole_while_the_stream_is_behind(planner: BatchPlanner) -> None:
    device = torch.device("cuda", 0)
    with closing(CpuLoader(planner, LoaderSettings(1), beyond=False)) as loader:
        expected = [batch.images for epoch in (0, 1) for batch in loader.epoch(epoch)]
    with closing(ProcessLoader(planner, LoaderSettings(2), device, beyond=False)) as loader:
        kept = []
        with nothing_waits():
            for batch in (batch for epoch in (0, 1) for batch in loader.epoch(epoch)):
                torch.cuda._sleep(20_000_000)
                kept.append(batch.images + 0)
                del batch
    assert all(images.is_cuda for images in kept)
    assert all(torch.equal(a.cpu(), b) for a, b in zip(kept, expected, strict=True))


def test_the_end_of_the_child_is_noticed_though_a_fork_keeps_the_pipe_open() -> None:
    ours, theirs = Pipe()
    with ours, theirs, subprocess.Popen([sys.executable, "-c", ""]) as child:
        theirs.send("the last")
        child.wait()
        assert process._received(ours, child) == "the last"
        began = time.monotonic()
        with pytest.raises(EOFError):
            process._received(ours, child)
        assert time.monotonic() - began < 2

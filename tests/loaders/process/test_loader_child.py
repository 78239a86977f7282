"""A real child: its batches, what it shares with the parent, and how it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from types import ModuleType

import pytest
from process_batches import CPU, RECIPE, agree

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import RunError, UndecodableImage
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.process import loader as process
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.rng import CounterRNG

pytestmark = pytest.mark.usefixtures("one_thread")


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

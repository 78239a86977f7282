"""However the parent ends, its child process ends as well."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from recipes import normalised

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import STEPS

#: Imports once, then forks a parent for each way to end; those that a signal ends have had a batch before.
PARENTS = """
import os, pickle, signal, sys, time
import torch
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.settings import LoaderSettings

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
with open(sys.argv[1], "rb") as file:
    planner = pickle.load(file)
for how in ("killed", "interrupted", "raises", "exits"):
    if os.fork() == 0:
        break
else:
    for _ in range(4):
        os.wait()
    sys.exit()
os.setsid()
signal.alarm(200)  # should it wait for a child that will not answer
os.dup2(os.open(f"{sys.argv[1]}.{how}", os.O_WRONLY | os.O_CREAT), 2)
loader = ProcessLoader(planner, LoaderSettings(1), torch.device("cpu"))
if how in ("killed", "interrupted"):
    batches = loader.epoch(0)
    next(batches)
os.write(1, f"{how} {os.getpid()} {loader._child.pid}\\n".encode())  # whole: the parents share a pipe
if how == "raises":
    raise RuntimeError("on purpose")
if how == "exits":
    sys.exit(3)
time.sleep(200)
"""


class Parent(NamedTuple):
    pid: int
    child: int
    errors: Path

    def gone(self) -> bool:
        return ended(self.pid) and ended(self.child)


@pytest.fixture(scope="module")
def parents(image_files: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Parent]]:
    """Parents with a loading process each, by how they end."""
    steps = normalised(STEPS["random_resized_crop"]((20, 24)))
    file = tmp_path_factory.mktemp("parents") / "planner"
    file.write_bytes(
        pickle.dumps(BatchPlanner(image_files, Sampler(len(image_files)), CounterRNG(3), steps, 4))
    )
    script = subprocess.Popen([sys.executable, "-c", PARENTS, file], stdout=subprocess.PIPE, text=True)
    lines = [script.stdout.readline().split() for _ in range(4)]
    parents = {how: Parent(int(pid), int(child), Path(f"{file}.{how}")) for how, pid, child in lines}
    yield parents
    for parent in parents.values():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)
    script.communicate(timeout=60)


def ended(pid: int) -> bool:
    """Whether a process is gone, or waits for no more than its parent's notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_for(parent: Parent) -> str:
    """What parent and child wrote to standard error, when both are gone."""
    for _ in range(600):
        if parent.gone():
            return parent.errors.read_text()
        time.sleep(0.1)
    raise AssertionError("still there after a minute")


def test_a_parent_that_exits(parents: dict[str, Parent]) -> None:
    assert wait_for(parents["exits"]) == ""


def test_a_parent_that_raises(parents: dict[str, Parent]) -> None:
    errors = wait_for(parents["raises"])
    assert errors.endswith("RuntimeError: on purpose\n")
    assert errors.count("Traceback") == 1


def test_a_parent_that_is_killed(parents: dict[str, Parent]) -> None:
    assert not parents["killed"].gone()
    os.kill(parents["killed"].pid, signal.SIGKILL)
    assert wait_for(parents["killed"]) == ""


def test_a_parent_that_is_interrupted_with_all_its_processes(parents: dict[str, Parent]) -> None:
    assert not parents["interrupted"].gone()
    os.killpg(parents["interrupted"].pid, signal.SIGINT)
    errors = wait_for(parents["interrupted"])
    assert errors.endswith("KeyboardInterrupt\n")
    assert errors.count("Traceback") == 1

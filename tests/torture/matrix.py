"""Which faults are tried on which commands, and what is expected of them."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from torture.faults import Command, Ending

#: --loader and what goes with it.
LOADERS: dict[str, tuple[str, ...]] = {
    "cpu": ("--loader", "cpu"),
    "process": ("--loader", "cpu", "--loader-process"),
    "dali": ("--loader", "dali"),
    "torchvision": ("--loader", "torchvision"),
}
WITH_CHILDREN = ("process", "torchvision")

#: Disks that are too small for what these commands write.
SMALL_DISKS = {"predict, cpu": "8k", "train": "300k", "cache": "300k", "check": "8k"}
#: A table that is there before.
EARLIER = "img_name,y_pred\na.jpg,0.5\n"
#: What a command may take that is not disturbed.
DONE_SECONDS = 300.0


@dataclass
class Row:
    """A fault, and how often it was survived.

    Attributes:
        seconds: how long each try took to end
        faults: what went wrong
    """

    fault: str
    command: str
    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def survived(self) -> int:
        """Tries in which nothing went wrong."""
        return len(self.seconds) - len(self.faults)

    def add(self, ending: Ending, codes: Sequence[int], more: Sequence[str] = ()) -> None:
        """Count a try; `more` is what else went wrong."""
        self.seconds.append(ending.seconds)
        wrong = [*ending.faults(codes), *more]
        if wrong:
            self.faults.append(f"{'; '.join(wrong)} — {' / '.join(ending.lines[-2:])}"[:400])


@dataclass(frozen=True)
class Place:
    """What the commands work on.

    Attributes:
        data: a folder in the challenge's layout
        checkpoint: of a model trained on it
        recipe: which it was trained with
        folder: for what they write; each gets one of its own
    """

    data: Path
    checkpoint: Path
    recipe: Path
    folder: Path

    def commands(self) -> dict[str, Callable[[Path], list[str | Path]]]:
        """By name, the words of each command that writes to a folder."""
        found: dict[str, Callable[[Path], list[str | Path]]] = {
            f"predict, {name}": partial(self.predict, options) for name, options in LOADERS.items()
        }
        return {**found, "train": self.train, "cache": self.cache, "check": self.check}

    def predict(self, options: Sequence[str], folder: Path) -> list[str | Path]:
        images = self.data / "trainset"
        batches = ("--batch-size", "4", "--threads", "2", "--device", "cpu")
        return ["predict", self.checkpoint, images, "-o", folder / "submit.csv", *batches, *options]

    def train(self, folder: Path) -> list[str | Path]:
        kind = ("--pipeline", self.recipe, "--backbone", "test_efficientnet", "--no-pretrained")
        return [
            "train",
            "--data",
            self.data,
            "-o",
            folder,
            "--overwrite",
            "--epochs",
            "99",
            "--device",
            "cpu",
            *kind,
        ]

    def cache(self, folder: Path) -> list[str | Path]:
        kind = ("--pipeline", self.recipe, "--backbone", "test_efficientnet")
        return ["cache", "--data", self.data, "--cache", folder / "cache", *kind]

    def check(self, folder: Path) -> list[str | Path]:
        return ["check", "--data", self.data, "--json", folder / "found.json"]


def started(place: Place, name: str, k: int) -> tuple[Command, Path]:
    """The command of that name, begun in a folder of its own, with its number in the folder's name."""
    folder = place.folder / f"{name.replace(', ', '-')}-{k}-{time.monotonic_ns()}"
    (folder / "out").mkdir(parents=True)
    return Command(place.commands()[name](folder / "out"), folder), folder / "out"


def signalled(
    place: Place, name: str, number: int, whom: str, codes: Sequence[int], moments: Sequence[float]
) -> Row:
    """A signal at each of the moments, in seconds after the start."""
    row = Row(f"{signal.Signals(number).name} to the {whom}", name)
    for k, moment in enumerate(moments):
        command, out = started(place, name, k)
        if command.wait_for(lambda: False, moment):
            continue
        if command.process.poll() is None:
            command.signal(number, whom)
        row.add(command.ending(), (*codes, 0), _torn(out))
    return row


def child_killed(place: Place, name: str, tries: int) -> Row:
    """A child is killed as soon as there is one that has lived for a random time."""
    row = Row("SIGKILL to a child", name)
    for k in range(tries):
        command, out = started(place, name, k)
        command.wait_for(lambda command=command: bool(command.children()))
        time.sleep(random.uniform(0, 0.5))
        if not command.children():
            command.ending()
            continue
        command.signal(signal.SIGKILL, "child")
        ending = command.ending()
        said = ending.lines[-1] if ending.lines else ""
        unnamed = [] if str(place.data) in said or ending.code == 0 else ["no file is named"]
        row.add(ending, (1, 0), [*unnamed, *_torn(out)])
    return row


def disk_full(place: Place, name: str, size: str) -> Row:
    """A command that writes to a disk of `size` bytes, as mount has it, which is too small. Only root can."""
    row = Row("disk full", name)
    command_folder = place.folder / f"full-{name.replace(', ', '-')}"
    out = command_folder / "out"
    out.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", out], check=True)
    try:
        kept = out / "submit.csv"
        kept.write_text(EARLIER)
        ending = Command(place.commands()[name](out), command_folder).ending(DONE_SECONDS)
        said = ending.lines[-1] if ending.lines else ""
        wrong = (
            [] if re.search("disk is full|No space left", said) else ["it does not say that the disk is full"]
        )
        if kept.read_text() != EARLIER:
            wrong.append("the file from before is lost")
        row.add(replace(ending, seconds=0.0), (1,), [*wrong, *_torn(out)])
    finally:
        subprocess.run(["umount", out], check=True)
    return row


def rows(place: Place, tries: int, seconds: float) -> Iterator[Row]:
    """All of the matrix, the moments at random up to so many seconds."""
    for name in place.commands():
        moments = [random.uniform(0, seconds) for _ in range(tries)]
        yield signalled(place, name, signal.SIGINT, "group", (130,), moments)
        yield signalled(place, name, signal.SIGTERM, "group", (143, -signal.SIGTERM), moments)
        yield signalled(place, name, signal.SIGKILL, "parent", (-signal.SIGKILL,), moments)
    for loader in WITH_CHILDREN:
        yield child_killed(place, f"predict, {loader}", tries)
    if os.geteuid() == 0:
        for name, size in SMALL_DISKS.items():
            yield disk_full(place, name, size)


def _torn(out: Path) -> list[str]:
    """Files that are neither whole nor absent."""
    found = [f"left {file.name}" for file in out.glob(".*")]
    table = out / "submit.csv"
    if table.exists() and not table.read_text().endswith("\n"):
        found.append("submit.csv is torn")
    return found

"""Commands that something happens to while they run, and how they end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

#: What a command may take to end, in seconds.
END_SECONDS = 2.0
#: After which it is given up.
HUNG_SECONDS = 60.0

ROOT = Path(__file__).resolve().parents[2]
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes:
        code: exit code; minus the signal that ended it
        seconds: from the fault to the end of the command and of all its processes
        lines: what it wrote to stderr after its progress
        orphans: processes of its session that were still there after END_SECONDS more
        leftovers: files in its temporary folder, and in shared memory those with its process number
    """

    code: int
    seconds: float
    lines: tuple[str, ...]
    orphans: tuple[str, ...]
    leftovers: tuple[str, ...]

    def faults(self, codes: Sequence[int]) -> list[str]:
        """What must not be: another exit code, a traceback, more than END_SECONDS, anything left behind."""
        found = [f"left {one}" for one in (*self.orphans, *self.leftovers)]
        if self.code not in codes:
            found.append(f"exit code {self.code}")
        if any("Traceback" in line or "Exception ignored" in line for line in self.lines):
            found.append("a traceback")
        if self.seconds > END_SECONDS:
            found.append(f"took {self.seconds:.1f} s to end")
        return found


class Command:
    """A fastffdi command in a session of its own, with a temporary folder of its own."""

    def __init__(self, words: Sequence[str | Path], folder: Path) -> None:
        self._folder = folder
        self._tmp = folder / "tmp"
        self._tmp.mkdir(parents=True, exist_ok=True)
        self._err = folder / "stderr"
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self._tmp),
            "FASTFFDI_CACHE": str(folder / "known"),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "500",
        }
        with self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fastffdi", *map(str, words)],
                stdout=subprocess.DEVNULL,
                stderr=err,
                stdin=subprocess.DEVNULL,
                env=env,
                start_new_session=True,
                preexec_fn=_attentive,
            )

    def wait_for(self, condition: Callable[[], bool], seconds: float = HUNG_SECONDS) -> bool:
        """Whether a condition comes true before the command ends."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            if condition():
                return True
            time.sleep(0.01)
        return False

    def family(self) -> list[psutil.Process]:
        """The command and its descendants, as far as they are alive."""
        return list(_session(self.process.pid))

    def children(self) -> list[psutil.Process]:
        """Its descendants alone."""
        return [process for process in self.family() if process.pid != self.process.pid]

    def signal(self, number: int, whom: str) -> None:
        """Send a signal to the `group`, to the `parent` alone, or to a `child`."""
        if whom == "group":
            os.killpg(self.process.pid, number)
        elif whom == "parent":
            self.process.send_signal(number)
        else:
            random.choice(self.children()).send_signal(number)

    def ending(self, most_seconds: float = HUNG_SECONDS) -> Ending:
        """Wait for the end, from now on. What does not end is killed."""
        began = time.monotonic()
        hung = not self._ended(most_seconds)
        seconds = time.monotonic() - began
        until = time.monotonic() + END_SECONDS
        while (left := self.children()) and time.monotonic() < until:
            time.sleep(0.02)
        orphans = tuple(_told(process) for process in left)
        if hung or left:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        lines = self._err.read_text(errors="replace").replace("\r", "\n").splitlines()
        lines = [line for line in lines if line.strip()]
        return Ending(code, seconds, tuple(lines), orphans, tuple(self._leftovers()))

    def _leftovers(self) -> list[str]:
        # The folder of torch's compiler is made whenever torchvision is imported.
        ours = sorted(name for name in _names(self._tmp) if not name.startswith("torchinductor_"))
        shared = sorted(name for name in _names(SHARED_MEMORY) if str(self.process.pid) in name)
        return [*ours, *(f"{SHARED_MEMORY}/{name}" for name in shared)]

    def _ended(self, seconds: float) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
            return True
        return False


def _attentive() -> None:
    # Background jobs of a shell ignore Ctrl-C, and so would what they start.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _session(leader: int) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _told(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return f"process {process.pid} ({' '.join(process.cmdline())[:80]})"
    return f"process {process.pid}"


def _bytes_read(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        return float(process.io_counters().read_chars)
    return 0.0

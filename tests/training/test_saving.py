"""What a thread writes: in which order, when it is on disk, and where errors surface."""

import errno
import os
import threading
from functools import partial
from pathlib import Path

import pytest

from fastffdi.errors import RunError
from fastffdi.files import DiskFull
from fastffdi.training.saving import Saver

FOLDER = Path("runs/mine")


class Disk:
    """Keeps what is written; waits where it is full, for `room`."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.room, self.error = threading.Event(), None
        self.room.set()

    def write(self, name: str) -> None:
        assert self.room.wait(30)
        if self.error is not None:
            raise self.error
        self.written.append(name)

    def of(self, *names: str) -> list[partial]:
        return [partial(self.write, name) for name in names]


@pytest.fixture
def disk() -> Disk:
    return Disk()


def test_things_are_written_in_turn_while_the_caller_goes_on(disk: Disk) -> None:
    with Saver(FOLDER) as saver:
        disk.room.clear()
        saver.save(*disk.of("last", "best", "state"))
        saver.check()  # waits for nothing
        assert disk.written == []
        disk.room.set()
    assert disk.written == ["last", "best", "state"]


def test_all_is_written_before_the_next_is_begun(disk: Disk) -> None:
    with Saver(FOLDER) as saver:
        saver.save(*disk.of("a", "b"))
        saver.save(*disk.of("c"))
        assert disk.written[:2] == ["a", "b"]
        saver.wait()
        assert disk.written == ["a", "b", "c"]


def test_what_comes_after_an_error_is_not_written(disk: Disk) -> None:
    def fail() -> None:
        raise DiskFull(FOLDER / "best", 1)

    with Saver(FOLDER) as saver:
        saver.save(*disk.of("last"), fail, *disk.of("state"))
        with pytest.raises(DiskFull):
            saver.wait()
    assert disk.written == ["last"]


@pytest.mark.parametrize("call", ["save", "check", "wait"])
def test_an_error_is_raised_by_the_next_call_and_once(disk: Disk, call: str) -> None:
    disk.error = DiskFull(FOLDER / "best", 1)
    with Saver(FOLDER) as saver:
        saver.save(*disk.of("a"))
        assert saver._writing is not None
        saver._writing.exception()  # it is over
        with pytest.raises(DiskFull):
            getattr(saver, call)()
        saver.wait()


def test_an_error_of_the_system_names_the_folder_and_what_to_do(disk: Disk) -> None:
    disk.error = OSError(errno.EACCES, os.strerror(errno.EACCES))
    with pytest.raises(RunError) as caught, Saver(FOLDER) as saver:
        saver.save(*disk.of("a"))
    assert str(caught.value) == (
        "--output runs/mine: cannot be written to (Permission denied); make it writable, and go on with "
        "--resume"
    )


def test_another_error_is_not_replaced_and_what_was_begun_is_written(disk: Disk) -> None:
    def failing() -> None:
        with Saver(FOLDER) as saver:
            saver.save(*disk.of("a"))
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert disk.written == ["a"]

"""Checkpoints written in a thread: what is in them, when they are on disk, and where errors surface."""

import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from fastffdi.model.checkpoint import Checkpoint, Snapshot
from fastffdi.training import saving
from fastffdi.training.saving import Saver

DESCRIBED = Checkpoint("resnet10t", {}, (8, 8), (0.5,) * 3, (0.5,) * 3, epoch=0, seed=0)


class Disk:
    """Stands in for `save`: keeps what is written; waits where it is `full`, for `room`."""

    def __init__(self) -> None:
        self.written: list[tuple[str, float]] = []
        self.room, self.error = threading.Event(), None
        self.room.set()

    def save(self, checkpoint: Checkpoint, snapshot: Snapshot, path: Path) -> None:
        assert self.room.wait(30)
        if self.error is not None:
            raise self.error
        self.written.append((path.name, float(snapshot.tensors["bias"][0])))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(saving, "save", disk.save)
    return disk


def model(bias: float) -> nn.Module:
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.bias, bias)
    return layer


def test_weights_are_those_of_the_moment_and_go_to_every_path(disk: Disk) -> None:
    trained = model(1.0)
    with Saver() as saver:
        disk.room.clear()
        saver.save(DESCRIBED, trained, [Path("last"), Path("best")])
        with torch.no_grad():
            trained.bias.fill_(7)
        assert disk.written == []
        disk.room.set()
    assert disk.written == [("last", 1.0), ("best", 1.0)]


def test_one_is_written_before_the_next_is_taken(disk: Disk) -> None:
    with Saver() as saver:
        saver.save(DESCRIBED, model(1.0), [Path("a")])
        saver.save(DESCRIBED, model(2.0), [Path("b")])
        assert disk.written[0] == ("a", 1.0)
        saver.wait()
        assert disk.written == [("a", 1.0), ("b", 2.0)]


def test_an_error_is_raised_by_the_next_call_and_once(disk: Disk) -> None:
    disk.error = OSError("disk full")
    with Saver() as saver:
        saver.save(DESCRIBED, model(1.0), [Path("a")])
        with pytest.raises(OSError, match="disk full"):
            saver.save(DESCRIBED, model(2.0), [Path("b")])
        saver.wait()


def test_an_error_is_raised_at_the_end(disk: Disk) -> None:
    disk.error = OSError("disk full")
    with pytest.raises(OSError, match="disk full"), Saver() as saver:
        saver.save(DESCRIBED, model(1.0), [Path("a")])


def test_another_error_is_not_replaced_and_what_was_begun_is_written(disk: Disk) -> None:
    def failing() -> None:
        with Saver() as saver:
            saver.save(DESCRIBED, model(1.0), [Path("a")])
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert disk.written == [("a", 1.0)]

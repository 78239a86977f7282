from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from fastffdi.loaders.process.transfer import ToCpu, ToCuda, Transfer, copying


class Event:
    """A copy's completion, at a word from the test or when it is waited for."""

    def __init__(self) -> None:
        self.done = self.waited = False

    def query(self) -> bool:
        return self.done

    def synchronize(self) -> None:
        self.done = self.waited = True


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def transfer(events: list[Event]) -> Transfer:
    """A transfer whose copies complete at their events."""

    def copy(images: torch.Tensor) -> tuple[torch.Tensor, Event]:
        events.append(Event())
        return images + 1, events[-1]

    return Transfer(copy)


def test_a_copy_on_the_cpu_is_the_consumers_own():
    images = torch.arange(24, dtype=torch.uint8).view(1, 2, 4, 3)
    copy, event = ToCpu()(images)
    images.zero_()
    assert event.query()
    assert copy.flatten().tolist() == list(range(24))
    assert isinstance(copying(torch.device("cpu")), ToCpu)


def test_on_the_cpu_a_slot_is_let_go_of_at_once():
    transfer = Transfer(ToCpu())
    assert transfer.take(4, torch.zeros(3, dtype=torch.uint8)).tolist() == [0, 0, 0]
    assert transfer.completed() == [4]
    assert transfer.completed() == []


def test_a_slot_is_kept_until_its_copy_has_completed(transfer: Transfer, events: list[Event]):
    assert transfer.take(2, torch.zeros(1)).tolist() == [1]
    assert transfer.completed() == []
    events[0].done = True
    assert transfer.completed() == [2]


def test_one_copy_may_stay_in_flight_without_a_wait(transfer: Transfer, events: list[Event]):
    transfer.take(2, torch.zeros(1))
    assert transfer.all_but_one() == []
    assert not events[0].waited


def test_of_more_copies_the_oldest_are_waited_for(transfer: Transfer, events: list[Event]):
    for slot in (2, 0, 1):
        transfer.take(slot, torch.zeros(1))
    assert transfer.all_but_one() == [2, 0]
    assert [event.waited for event in events] == [True, True, False]


def test_closing_waits_for_every_copy(transfer: Transfer, events: list[Event]):
    for slot in (2, 0):
        transfer.take(slot, torch.zeros(1))
    transfer.close()
    assert [event.waited for event in events] == [True, True]
    assert transfer.completed() == []


def test_closing_is_silent_about_a_device_that_has_failed(transfer: Transfer, monkeypatch):
    def fail(event: Event) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(Event, "synchronize", fail)
    transfer.take(2, torch.zeros(1))
    transfer.close()


class Cuda:
    """Stands in for torch.cuda's streams, and for images: keeps who does what, in order.

    The current stream is called "main", each that is made "side".
    """

    def __init__(self) -> None:
        self.done: list[tuple] = []
        self.current = Stream(self, "main")

    @contextmanager
    def stream(self, stream: "Stream") -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before

    def current_stream(self, device: torch.device) -> "Stream":
        assert device == DEVICE
        return self.current

    def to(self, device: torch.device, non_blocking: bool = False) -> "Cuda":
        self.done.append((self.current.name, "copies", device, non_blocking))
        return self

    def record_stream(self, stream: "Stream") -> None:
        self.done.append(("memory", "is kept for", stream.name))


class Stream:
    def __init__(self, cuda: Cuda, name: str) -> None:
        self.cuda, self.name = cuda, name

    def record_event(self) -> str:
        self.cuda.done.append((self.name, "records"))
        return f"event on {self.name}"

    def wait_event(self, event: str) -> None:
        self.cuda.done.append((self.name, "waits for", event))


DEVICE = torch.device("cuda", 1)


def test_a_copy_to_a_gpu_is_made_on_a_side_stream_and_waited_for_by_the_current_one(monkeypatch):
    cuda, made = Cuda(), []
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: made.append(device) or Stream(cuda, "side"))
    monkeypatch.setattr(torch.cuda, "stream", cuda.stream)
    monkeypatch.setattr(torch.cuda, "current_stream", cuda.current_stream)
    copy = copying(DEVICE)
    assert isinstance(copy, ToCuda)
    assert [copy(cuda) for _ in range(2)] == [(cuda, "event on side")] * 2
    assert made == [DEVICE]
    assert cuda.done == 2 * [
        ("side", "copies", DEVICE, True),
        ("side", "records"),
        ("main", "waits for", "event on side"),
        ("memory", "is kept for", "main"),
    ]

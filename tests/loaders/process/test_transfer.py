import pytest
import torch

from fastffdi.loaders.process.transfer import Transfer, copying, to_cpu


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
    copy, event = to_cpu(images)
    images.zero_()
    assert event.query()
    assert copy.flatten().tolist() == list(range(24))
    assert copying(torch.device("cpu")) is to_cpu


def test_on_the_cpu_a_slot_is_let_go_of_at_once():
    transfer = Transfer(to_cpu)
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

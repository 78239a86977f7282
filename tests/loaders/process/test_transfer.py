from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

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
    """Stands in for torch.cuda's streams: keeps who is told what, in order, and does it when a test says so.

    The current stream is called "main", each that is made "side".
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.told: list[tuple] = []
        self.main = self.current = Stream(self, "main")
        patch.setattr(torch.cuda, "Stream", self.make)
        patch.setattr(torch.cuda, "stream", self.stream)
        patch.setattr(torch.cuda, "current_stream", self.current_stream)

    def make(self, device: torch.device) -> "Stream":
        assert device == DEVICE
        self.side = Stream(self, "side")
        return self.side

    @contextmanager
    def stream(self, stream: "Stream") -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before

    def current_stream(self, device: torch.device) -> "Stream":
        assert device == DEVICE
        return self.current


class Stream:
    """Work that is done in its order, piece by piece; a piece says whether it could be done."""

    def __init__(self, cuda: Cuda, name: str) -> None:
        self.cuda, self.name = cuda, name
        self.work: deque[Callable[[], bool]] = deque()

    def record_event(self) -> "Recorded":
        self.cuda.told.append((self.name, "records"))
        event = Recorded(self)
        self.work.append(event.happen)
        return event

    def wait_event(self, event: "Recorded") -> None:
        self.cuda.told.append((self.name, "waits for", event.stream.name))
        self.work.append(event.query)

    def run(self) -> None:
        """Do the next piece, if there is one that need not wait for another stream."""
        if self.work and self.work[0]():
            self.work.popleft()


class Recorded(Event):
    """An event that happens when its stream comes to it."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream

    def happen(self) -> bool:
        self.done = True
        return True

    def synchronize(self) -> None:
        self.waited = True
        while not self.done:
            self.stream.run()


class Images:
    """Images in a slot or on the device: `content` tells which; a copy has it when its stream has made it."""

    def __init__(self, cuda: Cuda, content: int | None = None) -> None:
        self.cuda, self.content = cuda, content

    def to(self, device: torch.device, non_blocking: bool = False) -> "Images":
        stream, copy = self.cuda.current, Images(self.cuda)
        self.cuda.told.append((stream.name, "copies", device, non_blocking))
        stream.work.append(lambda: copy.become(self))
        return copy

    def become(self, other: "Images") -> bool:
        self.content = other.content
        return True

    def record_stream(self, stream: Stream) -> None:
        self.cuda.told.append(("memory", "is kept for", stream.name))


DEVICE = torch.device("cuda", 1)


def test_a_copy_to_a_gpu_is_made_on_a_side_stream_and_waited_for_by_the_current_one(monkeypatch):
    cuda = Cuda(monkeypatch)
    copy = copying(DEVICE)
    assert isinstance(copy, ToCuda)
    for _ in range(2):
        images, event = copy(Images(cuda, 5))
        assert event.stream is cuda.side
        assert images.content is None
        event.synchronize()
        assert images.content == 5
    assert cuda.told == 2 * [
        ("side", "copies", DEVICE, True),
        ("side", "records"),
        ("main", "waits for", "side"),
        ("memory", "is kept for", "main"),
    ]


class Rings(RuleBasedStateMachine):
    """A child that fills free slots, a loader that copies out of them, a GPU that works at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.cuda = Cuda(self.patch)
        self.transfer = Transfer(copying(DEVICE))
        self.slots = [Images(self.cuda) for _ in range(4)]
        self.in_flight: list[tuple[int, Images]] = []
        self.read: list[bool] = []

    @precondition(lambda self: len(self.in_flight) < 4)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        taken = {slot for slot, _ in self.in_flight}
        slot = data.draw(st.sampled_from([slot for slot in range(4) if slot not in taken]))
        number = self.slots[slot].content = len(self.read)
        copy = self.transfer.take(slot, self.slots[slot])
        self.in_flight.append((slot, copy))
        self.read.append(False)
        self.cuda.main.work.append(lambda: self.reads(copy, number))

    def reads(self, copy: Images, number: int) -> bool:
        """The model's part: of a copy that is complete, and of the images as they were taken."""
        assert copy.content == number
        self.read[number] = True
        return True

    @rule()
    def the_side_stream_goes_on(self) -> None:
        self.cuda.side.run()

    @rule()
    def the_current_stream_goes_on(self) -> None:
        self.cuda.main.run()

    @rule()
    def completed(self) -> None:
        complete = [slot for slot, copy in self.in_flight if copy.content is not None]
        behind = len(self.cuda.side.work)
        released = self.transfer.completed()
        assert len(self.cuda.side.work) == behind
        assert released in (complete, complete[:-1])  # the last may be copied and its event not yet recorded
        self.release(released)

    @rule()
    def all_but_one(self) -> None:
        last = [(copy, copy.content) for _, copy in self.in_flight[-1:]]
        self.release(self.transfer.all_but_one())
        assert len(self.in_flight) <= 1
        assert all(copy.content == content for copy, content in last)

    def release(self, slots: list[int]) -> None:
        """Each is overwritten by the child at once."""
        released, self.in_flight = self.in_flight[: len(slots)], self.in_flight[len(slots) :]
        assert slots == [slot for slot, _ in released]
        for slot, copy in released:
            assert copy.content is not None
            self.slots[slot].content = -1

    def teardown(self) -> None:
        self.patch.undo()
        self.transfer.close()
        for _ in range(len(self.cuda.main.work)):
            self.cuda.main.run()
        assert all(self.read)
        assert self.transfer.completed() == []


TestRings = Rings.TestCase
TestRings.settings = settings(max_examples=60, deadline=None)

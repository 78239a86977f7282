"""Slots of the ring: how many there are, and when each is released."""

from contextlib import closing
from dataclasses import replace

import pytest
import torch
from process_batches import CPU
from threaded_child import late_copies

from fastffdi.errors import RunError
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.process import loader as process
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.process.messages import BatchReady, ReleaseSlot, Request
from fastffdi.loaders.process.ring import Ring
from fastffdi.loaders.process.transfer import ToCpu, Transfer
from fastffdi.loaders.settings import LoaderSettings

pytestmark = pytest.mark.usefixtures("one_thread")


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

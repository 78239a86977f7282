import pickle
import threading
import time

import pytest

from fastffdi.errors import RunError, UndecodableImage
from fastffdi.loaders.process.messages import (
    BatchReady,
    EpochCancelled,
    Inbox,
    ReleaseSlot,
    StartEpoch,
    to_loader_error,
)

FIRST, SECOND = StartEpoch(1, 0, 0), StartEpoch(2, 0, 3)


@pytest.fixture
def orders() -> Inbox:
    """Two slots, and the first epoch begun."""
    orders = Inbox(2)
    orders.put(FIRST)
    return orders


def soon(call, *arguments) -> None:
    """Call it on another thread, when this one most likely waits."""
    threading.Thread(target=lambda: (time.sleep(0.02), call(*arguments))).start()


def test_the_last_epoch_ordered_is_the_one_to_render(orders: Inbox):
    assert orders.after(None) == FIRST
    orders.put(SECOND)
    assert (orders.wanted(FIRST), orders.wanted(SECOND)) == (False, True)
    assert orders.after(FIRST) == SECOND


def test_the_same_epoch_again_is_another_order(orders: Inbox):
    soon(orders.put, StartEpoch(2, 0, 0))
    assert orders.after(FIRST).generation == 2


def test_every_slot_is_free_at_first_and_taken_once(orders: Inbox):
    assert {orders.take(FIRST), orders.take(FIRST)} == {0, 1}


def test_taking_waits_for_a_free_slot(orders: Inbox):
    taken = [orders.take(FIRST), orders.take(FIRST)]
    soon(orders.put, ReleaseSlot(taken[0]))
    assert orders.take(FIRST) == taken[0]
    orders.give_back(taken)
    assert {orders.take(FIRST), orders.take(FIRST)} == {0, 1}


def test_another_epoch_ends_the_wait_for_a_slot(orders: Inbox):
    taken = [orders.take(FIRST), orders.take(FIRST)]
    soon(orders.put, SECOND)
    with pytest.raises(EpochCancelled):
        orders.take(FIRST)
    orders.give_back(taken)
    assert orders.take(SECOND) in taken


def test_the_end_ends_every_wait(orders: Inbox):
    soon(orders.end)
    assert orders.after(FIRST) is None
    with pytest.raises(EpochCancelled):
        orders.take(FIRST)


def test_the_end_says_whether_anything_was_ordered(orders: Inbox):
    assert orders.end()
    assert not Inbox(2).end()


def test_errors_of_ours_are_told_as_they_are():
    bad = UndecodableImage("/a/b.jpg", "no image")
    answer = pickle.loads(pickle.dumps(BatchReady(3, error=to_loader_error(bad))))
    assert (answer.generation, str(answer.error)) == (3, str(bad))
    assert answer.error.path == "/a/b.jpg"


def test_any_other_error_is_told_in_one_line():
    error = to_loader_error(ValueError("two\nlines"))
    assert type(error) is RunError
    assert str(error).startswith("--loader cpu: the loading process failed (ValueError: two lines); ")

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
def inbox() -> Inbox:
    """Two slots, and the first epoch begun."""
    inbox = Inbox(2)
    inbox.put(FIRST)
    return inbox


def soon(call, *arguments) -> None:
    """Call it on another thread, when this one most likely waits."""
    threading.Thread(target=lambda: (time.sleep(0.02), call(*arguments))).start()


def test_the_last_epoch_ordered_is_the_one_to_render(inbox: Inbox):
    assert inbox.after(None) == FIRST
    inbox.put(SECOND)
    assert (inbox.wanted(FIRST), inbox.wanted(SECOND)) == (False, True)
    assert inbox.after(FIRST) == SECOND


def test_the_same_epoch_again_is_another_order(inbox: Inbox):
    soon(inbox.put, StartEpoch(2, 0, 0))
    assert inbox.after(FIRST).generation == 2


def test_every_slot_is_free_at_first_and_taken_once(inbox: Inbox):
    assert {inbox.take(FIRST), inbox.take(FIRST)} == {0, 1}


def test_taking_waits_for_a_free_slot(inbox: Inbox):
    taken = [inbox.take(FIRST), inbox.take(FIRST)]
    soon(inbox.put, ReleaseSlot(taken[0]))
    assert inbox.take(FIRST) == taken[0]
    inbox.give_back(taken)
    assert {inbox.take(FIRST), inbox.take(FIRST)} == {0, 1}


def test_another_epoch_ends_the_wait_for_a_slot(inbox: Inbox):
    taken = [inbox.take(FIRST), inbox.take(FIRST)]
    soon(inbox.put, SECOND)
    with pytest.raises(EpochCancelled):
        inbox.take(FIRST)
    inbox.give_back(taken)
    assert inbox.take(SECOND) in taken


def test_the_end_ends_every_wait(inbox: Inbox):
    soon(inbox.end)
    assert inbox.after(FIRST) is None
    with pytest.raises(EpochCancelled):
        inbox.take(FIRST)


def test_the_end_says_whether_anything_was_ordered(inbox: Inbox):
    assert inbox.end()
    assert not Inbox(2).end()


def test_errors_of_ours_are_told_as_they_are():
    bad = UndecodableImage("/a/b.jpg", "no image")
    answer = pickle.loads(pickle.dumps(BatchReady(3, error=to_loader_error(bad))))
    assert (answer.generation, str(answer.error)) == (3, str(bad))
    assert answer.error.path == "/a/b.jpg"


def test_any_other_error_is_one_line():
    error = to_loader_error(ValueError("two\nlines"))
    assert type(error) is RunError
    assert str(error).startswith("--loader cpu: the child process failed (ValueError: two lines); ")

import itertools
import os
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from fastffdi.loaders.process import child
from fastffdi.loaders.process.messages import Inbox, ReleaseSlot, StartEpoch


@pytest.fixture
def pipe() -> Iterator[tuple[Connection, Connection]]:
    ours, theirs = Pipe()
    with ours, theirs:
        yield ours, theirs


def test_it_listens_until_the_pipe_ends(pipe: tuple[Connection, Connection]):
    ours, theirs = pipe
    inbox, begun = Inbox(0), StartEpoch(1, 5, 2)
    for request in (begun, ReleaseSlot(3)):
        ours.send(request)
    ours.close()
    child.listen(theirs, inbox)
    assert inbox.after(None) == begun
    assert inbox.take(inbox.after(None)) == 3


def test_it_listens_no_longer_than_its_parent_lives(pipe: tuple[Connection, Connection], monkeypatch):
    parents = itertools.chain([7, 7, 7], itertools.repeat(1))
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr(child, "_CHECK_SECONDS", 0.001)
    child.listen(pipe[1], Inbox(1))
    assert next(parents) == 1


def test_when_it_cannot_listen_it_ends(pipe: tuple[Connection, Connection], monkeypatch: pytest.MonkeyPatch):
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(child, "GRACE_SECONDS", 0)
    pipe[0].send_bytes(b"no message")
    child._listen_and_end(pipe[1], Inbox(1))
    assert ended[0] == 1

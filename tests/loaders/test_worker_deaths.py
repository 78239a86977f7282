import os
import signal
import threading
from collections.abc import Iterator

import pytest

from fastffdi.loaders.worker_deaths import WorkerDeaths


@pytest.fixture
def deaths() -> Iterator[WorkerDeaths]:
    """Watching in place of a handler that raises, as torch's does where a worker has died."""

    def raises(number: int, frame: object) -> None:
        raise RuntimeError("DataLoader worker (pid 7) is killed")

    before = signal.signal(signal.SIGCHLD, raises)
    watching = WorkerDeaths()
    watching.watch()
    yield watching
    signal.signal(signal.SIGCHLD, before)


def died() -> None:
    os.kill(os.getpid(), signal.SIGCHLD)


def test_a_death_elsewhere_is_raised_at_the_next_wait(deaths: WorkerDeaths) -> None:
    died()
    with pytest.raises(RuntimeError, match="pid 7"), deaths.raised():
        pytest.fail("there is nothing to wait for")


def test_a_death_while_waiting_is_raised_there(deaths: WorkerDeaths) -> None:
    with pytest.raises(RuntimeError, match="pid 7"), deaths.raised():
        died()
    died()  # and no longer, once the wait is over


def test_new_workers_have_not_died(deaths: WorkerDeaths) -> None:
    died()
    deaths.watch()
    with deaths.raised():
        pass


def test_handlers_are_not_put_upon_each_other(deaths: WorkerDeaths) -> None:
    handler, below = signal.getsignal(signal.SIGCHLD), deaths._torchs
    deaths.watch()
    assert (signal.getsignal(signal.SIGCHLD), deaths._torchs) == (handler, below)


def test_in_another_thread_there_is_nothing_to_do(deaths: WorkerDeaths) -> None:
    thread = threading.Thread(target=deaths.watch)
    thread.start()
    thread.join()
    with deaths.raised():
        pass

"""What the first signal does to a run, and what the second does to its process."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fastffdi.training.interruption import Interruption, Stopping

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


def send(number: int) -> None:
    """Send a signal to this process; its handler has run when this returns."""
    os.kill(os.getpid(), number)
    time.sleep(0)


@BOTH
def test_the_first_signal_is_a_request(number: int) -> None:
    with Interruption() as stop:
        assert stop.number is None
        send(number)
        assert stop.number == number


@BOTH
def test_where_nothing_is_lost_it_ends_the_run_at_once(number: int) -> None:
    with Interruption() as stop:
        with pytest.raises(Stopping), stop.at_once():
            send(number)
        assert (stop.number, stop.raising) == (number, False)


def test_a_request_from_before_ends_it_there_too() -> None:
    stop = Interruption()
    stop.request(signal.SIGTERM)
    with pytest.raises(Stopping), stop.at_once():
        raise AssertionError


def test_no_except_exception_holds_it_up() -> None:
    assert not issubclass(Stopping, Exception)


def test_the_first_of_two_requests_is_the_one_that_counts() -> None:
    stop = Interruption()
    stop.request(signal.SIGTERM)
    stop.request(signal.SIGINT)
    assert stop.number == signal.SIGTERM


@BOTH
def test_afterwards_signals_do_what_they_did_before(number: int) -> None:
    before, threads = signal.getsignal(number), threading.active_count()
    with Interruption():
        assert signal.getsignal(number) != before
        assert threading.active_count() == threads + 1
    assert signal.getsignal(number) == before
    assert threading.active_count() == threads
    assert signal.set_wakeup_fd(-1) == -1


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as stop:
            send(signal.SIGINT)
            assert stop.number is None
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_changes() -> None:
    before, found = signal.getsignal(signal.SIGINT), []

    def inside() -> None:
        with Interruption():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert found == [before]


def test_what_a_fork_gets_is_its_own_affair() -> None:
    """As DataLoader's workers, to which Ctrl-C goes as well."""
    with Interruption() as stop:
        pid = os.fork()
        if not pid:
            own = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL and signal.set_wakeup_fd(-1) == -1
            os._exit(0 if own else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert stop.number is None


def ended(pid: int) -> bool:
    """Whether a process is gone within two seconds, or waits for no more than its parent's notice."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


#: Has a file half written, and a child; the first signal does not end it.
BUSY = """
import multiprocessing, sys, time
from pathlib import Path
from fastffdi.files import atomic
from fastffdi.training.interruption import Interruption

with Interruption() as stop, atomic(Path(sys.argv[1])):
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(100,))
    child.start()
    print(child.pid, flush=True)
    while True:
        time.sleep(100)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_ends_the_process_at_once_without_a_trace(number: int, code: int, tmp_path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY, tmp_path / "file"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.send_signal(number)
        process.send_signal(number)  # at the same time: as `timeout` does, to the process and its group
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        began = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert time.monotonic() - began < 2
    assert (process.returncode, errors) == (code, "")
    assert os.listdir(tmp_path) == []
    assert ended(child)

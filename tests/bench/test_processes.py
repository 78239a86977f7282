import mmap
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from fastffdi.bench import processes

MIB = 1 << 20
#: Uses half a second of CPU time, or holds 64 MiB, and then waits for its end.
BUSY = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"
LARGE = "held = b'1' * (64 << 20)\nprint(flush=True)\ninput()"


def child(program: str) -> subprocess.Popen:
    started = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert started.stdout is not None
    started.stdout.readline()
    return started


def test_cpu_time_is_that_of_this_process():
    used, began = processes.cpu_seconds(), time.process_time()
    while time.process_time() - began < 0.3:
        pass
    assert processes.cpu_seconds() - used == pytest.approx(0.3, abs=0.15)


def test_cpu_time_of_a_child_counts_while_it_lives_and_once_it_has_ended():
    used = processes.cpu_seconds()
    started = child(BUSY)
    alive = processes.cpu_seconds()
    started.communicate(b"\n")
    assert alive - used >= 0.45
    assert processes.cpu_seconds() >= alive


def test_memory_is_that_of_this_process_and_its_children():
    before = processes.memory_mib()
    held = mmap.mmap(-1, 32 * MIB)  # malloc could hand out memory that the process already holds
    for _ in range(32):
        held.write(b"1" * MIB)
    more = processes.memory_mib()
    assert more - before == pytest.approx(32, abs=4)
    started = child(LARGE)
    assert processes.memory_mib() - more > 60
    started.communicate(b"\n")
    assert held[0] == ord("1")


COUNTING = "import time\nprint(flush=True)\nwhile True: time.sleep(0.001)"


def comes_true(condition):
    """Whether it does, in a minute: the system stops a process some time after it was told to."""
    return any(condition() or time.sleep(0.05) for _ in range(1200))


def test_a_process_can_be_stopped_and_goes_on_and_is_ended_also_while_it_is_stopped():
    started = child(COUNTING)
    seen = psutil.Process(started.pid)
    processes.suspend(started.pid)
    assert comes_true(lambda: seen.status() == psutil.STATUS_STOPPED)
    processes.resume(started.pid)
    assert comes_true(lambda: seen.status() != psutil.STATUS_STOPPED)
    processes.suspend(started.pid)
    processes.kill(started.pid)
    started.communicate()
    assert started.returncode == -signal.SIGKILL
    processes.kill(started.pid)  # there is nothing left to end


def test_termination_raises_so_that_what_was_started_is_ended():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, processes.terminated_as_exit():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_elsewhere_than_in_the_main_thread_termination_is_as_it_was():
    def entered():
        with processes.terminated_as_exit():
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(entered).result() == signal.getsignal(signal.SIGTERM)


def test_without_a_server_processes_are_spawned(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "get_all_start_methods", lambda: ["spawn"])
    assert processes.fresh_processes("json").get_start_method() == "spawn"

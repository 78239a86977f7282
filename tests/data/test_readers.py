"""Threads that read: what they give, and every way in which they may give nothing."""

import os
import threading
import time
from collections.abc import Iterator

import pytest

from fastffdi.data.readers import ReaderThreads
from fastffdi.data.source import FILES
from fastffdi.errors import RunError, Stalled

SOON = 0.2


@pytest.fixture
def threads() -> Iterator[ReaderThreads]:
    with ReaderThreads(2, "test", SOON) as threads:
        yield threads


@pytest.fixture
def stuck(threads: ReaderThreads) -> Iterator[threading.Event]:
    """stuck.wait never returns before the end of the test."""
    stuck = threading.Event()
    yield stuck
    stuck.set()


def test_results_come_in_the_order_of_the_items(threads: ReaderThreads) -> None:
    assert list(threads.map(lambda x: x * x, range(20))) == [x * x for x in range(20)]
    assert threads.result(threads.submit(max, 3, 4)) == 4


def test_an_error_is_raised_where_its_result_is_awaited(threads: ReaderThreads) -> None:
    with pytest.raises(ZeroDivisionError):
        threads.result(threads.submit(lambda: 1 // 0))


def test_an_image_that_does_not_come_is_named(threads: ReaderThreads, stuck: threading.Event) -> None:
    def work() -> None:
        threads.begin("/mnt/a.jpg")
        stuck.wait(60)

    future, began = threads.submit(work), time.monotonic()
    with pytest.raises(Stalled, match=r"^/mnt/a\.jpg: not read within 0\.2 s; is its disk"):
        threads.result(future)
    assert SOON <= time.monotonic() - began < 5
    with pytest.raises(Stalled):
        threads.submit(max, 3, 4)
    threads.finish([future])
    threads.close()
    assert time.monotonic() - began < 6


def test_another_image_is_another_time_even_of_the_same_file(threads: ReaderThreads) -> None:
    def work() -> None:
        for _ in range(8):
            threads.begin("/mnt/a.jpg")
            time.sleep(SOON / 4)

    threads.result(threads.submit(work))
    assert threads.stalled is None


def test_what_only_waits_for_a_thread_does_not_stall(threads: ReaderThreads) -> None:
    def work(k: int) -> int:
        threads.begin(f"{k}.jpg")
        time.sleep(SOON / 2)
        return k

    assert threads.result([threads.submit(work, k) for k in range(10)][-1]) == 9


def test_one_that_stalls_is_noticed_while_others_go_on(
    threads: ReaderThreads, stuck: threading.Event
) -> None:
    def work(k: int) -> None:
        threads.begin(f"{k}.jpg")
        stuck.wait(60 if k == 0 else 0.01)

    with pytest.raises(Stalled, match=r"^0\.jpg"):
        list(threads.map(work, range(10_000)))


def test_whoever_leaves_waits_no_longer_than_that(threads: ReaderThreads, stuck: threading.Event) -> None:
    def work() -> None:
        threads.begin("/mnt/a.jpg")
        stuck.wait(60)

    future, began = threads.submit(work), time.monotonic()
    time.sleep(0.01)
    threads.finish([future])
    assert threads.stalled is not None
    threads.close()
    assert time.monotonic() - began < 5


def test_finishing_waits_for_what_has_begun_and_cancels_the_rest(threads: ReaderThreads) -> None:
    done: list[int] = []
    futures = [threads.submit(lambda k=k: (time.sleep(0.02), done.append(k))) for k in range(30)]
    time.sleep(0.005)
    threads.finish(futures)
    count = len(done)
    assert 2 <= count < 30
    time.sleep(0.05)
    assert len(done) == count


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_the_end_of_a_thread_is_an_error_by_the_files_name(
    end: type[BaseException], threads: ReaderThreads
) -> None:
    def work() -> None:
        threads.begin("/mnt/a.jpg")
        raise end

    with pytest.raises(RunError, match=rf"^/mnt/a\.jpg: its thread was ended by {end.__name__}$"):
        threads.result(threads.submit(work))


def test_threads_that_cannot_begin_are_an_error() -> None:
    with ReaderThreads(1, "test", SOON, int, "not a number") as threads:
        with pytest.raises(RunError, match=r"^test: threads cannot be started .*; lower --threads"):
            threads.result(threads.submit(max, 3, 4))
        with pytest.raises(RunError, match="threads cannot be started"):
            threads.submit(max, 3, 4)


def test_where_the_system_has_no_more_threads_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with ReaderThreads(1, "test") as threads:
        monkeypatch.setattr(threading.Thread, "start", fails)
        with pytest.raises(RunError, match=r"threads cannot be started \(can't start new thread\)"):
            threads.submit(max, 3, 4)
        monkeypatch.undo()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_which_has_none_of_the_threads_does_not_wait_for_them(threads: ReaderThreads) -> None:
    list(threads.map(time.sleep, [0.01, 0.01]))
    child = os.fork()
    if child == 0:
        try:
            threads.result(threads.submit(max, 3, 4))
        except RunError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_source_can_do_the_noting(threads: ReaderThreads, stuck: threading.Event) -> None:
    class Slow(type(FILES)):  # type: ignore[misc]
        def read(self, path: str) -> bytes:
            stuck.wait(60)
            return b""

    source = threads.noting(Slow())
    assert threads.result(threads.submit(source.identity, __file__)) == FILES.identity(__file__)
    with threads.result(threads.submit(source.open, __file__)) as file:
        assert (
            file.readline()
            == b'"""Threads that read: what they give, and every way in which they may give nothing."""\n'
        )
    with pytest.raises(Stalled, match=r"^/mnt/a\.jpg"):
        threads.result(threads.submit(source.read, "/mnt/a.jpg"))

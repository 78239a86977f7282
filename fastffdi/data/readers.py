"""Threads that read images, and waits for them that end: disks and network mounts may not answer."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future, ThreadPoolExecutor, TimeoutError, wait
from functools import partial
from threading import get_ident
from typing import Any, BinaryIO, TypeVar

from fastffdi.data.patience import READ_SECONDS, Patience
from fastffdi.data.source import Identity, ImageSource
from fastffdi.errors import RunError, Stalled

T = TypeVar("T")
A = TypeVar("A")


class ReaderThreads:
    """A pool of threads. What they do calls `begin` at each image, so that one that stalls has a name.

    Args:
        threads: how many
        name: of the threads
        seconds: how long one image may take
        prepare: called in each thread at its start, with the arguments that follow

    Attributes:
        stalled: the error of an image that took longer. Its thread cannot be ended, and nobody waits for it
            any more; only Python does, at the end of the process
    """

    def __init__(
        self,
        threads: int,
        name: str,
        seconds: float = READ_SECONDS,
        prepare: Callable[..., object] | None = None,
        *arguments: Any,
    ) -> None:
        self._name, self._seconds = name, seconds
        self._pool = ThreadPoolExecutor(threads, name, prepare, arguments)
        self._begun: dict[int, tuple[str, int]] = {}  # by thread: path, and which of all images begun it is
        self._count = itertools.count()
        self.stalled: Stalled | None = None

    def begin(self, path: str) -> None:
        """Take note that the calling thread begins with an image."""
        self._begun[get_ident()] = path, next(self._count)

    def noting(self, source: ImageSource) -> ImageSource:
        """The source, which calls `begin` itself."""
        return _Noting(source, self.begin)

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """Let a thread do it. Raises RunError where none can be started."""
        if self.stalled is not None:
            raise self.stalled
        try:
            return self._pool.submit(self._done, work, *arguments)
        except RuntimeError as error:
            raise self._broken(error) from error

    def result(self, future: Future[T]) -> T:
        """What the work has given, or raised.

        Raises Stalled where an image takes too long, RunError where there is no thread any more.
        """
        if not future.done():
            self._watch(partial(_is_done, future))
        try:
            return future.result()
        except BrokenExecutor as error:
            raise self._broken(error) from error

    def map(self, work: Callable[[A], T], items: Iterable[A]) -> Iterator[T]:
        """Results in the order of the items. However it is left, none is begun any more."""
        futures = [self.submit(work, item) for item in items]
        futures.reverse()
        try:
            while futures:
                yield self.result(futures.pop())
        finally:
            for future in futures:
                future.cancel()

    def finish(self, futures: Iterable[Future[Any]]) -> None:
        """Cancel what has not begun, and wait for what has, unless that stalls."""
        running = [future for future in futures if not future.cancel()]
        with contextlib.suppress(RunError):
            self._watch(lambda seconds: not wait(running, seconds).not_done)

    def close(self, waits: bool = True) -> None:
        """End the threads; wait for them, unless they stall."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if waits:
            with contextlib.suppress(RunError):
                self._watch(self._joined)

    def __enter__(self) -> ReaderThreads:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _done(self, work: Callable[..., T], *arguments: Any) -> T:
        try:
            return work(*arguments)
        except Exception:  # raised as it is where the result is asked for
            raise
        except BaseException as error:  # where it is awaited it would pass for an end that somebody wants
            place = self._begun.get(get_ident(), (self._name,))[0]
            raise RunError(f"{place}: its thread was ended by {type(error).__name__}") from error
        finally:
            self._begun.pop(get_ident(), None)

    def _watch(self, finished: Callable[[float], bool]) -> None:
        """Return when it is finished, which it is asked with the seconds that it may wait."""
        patience: Patience[tuple[str, int]] = Patience(self._seconds)
        while self.stalled is None and not finished(patience.pause):
            if not any(thread.is_alive() for thread in self._pool._threads):
                raise RunError(f"{self._name}: its threads are not in this process; build their loader in it")
            if (found := patience.look(self._begun.copy())) is not None:
                self.stalled = Stalled(found[0], self._seconds)
        if self.stalled is not None:
            raise self.stalled

    def _joined(self, seconds: float) -> bool:
        for thread in self._pool._threads:
            thread.join(seconds)
            if thread.is_alive():
                return False
        return True

    def _broken(self, error: RuntimeError) -> RunError:
        return RunError(f"{self._name}: threads cannot be started ({error}); lower --threads")


def _is_done(future: Future[Any], seconds: float) -> bool:
    """Whether it is done after at most so many seconds; cheaper than `wait`, which is for many of them."""
    with contextlib.suppress(TimeoutError, CancelledError):
        future.exception(seconds)
    return future.done()


class _Noting:
    """A source that calls `begin` with the path of whatever it is asked for."""

    def __init__(self, source: ImageSource, begin: Callable[[str], None]) -> None:
        self._source, self._begin = source, begin

    def read(self, path: str) -> bytes:
        self._begin(path)
        return self._source.read(path)

    def open(self, path: str) -> BinaryIO:
        self._begin(path)
        return self._source.open(path)

    def identity(self, path: str) -> Identity:
        self._begin(path)
        return self._source.identity(path)

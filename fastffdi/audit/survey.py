"""One pass over the files of a split, by several threads: the facts of each, and the reasons of faults."""

from __future__ import annotations

import os
import stat
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass

import cv2
import numpy as np

from fastffdi.audit.facts import FACTS, problem_row
from fastffdi.audit.files import Inspected, inspect
from fastffdi.audit.looks import described
from fastffdi.audit.memory import Memory, blank
from fastffdi.data.manifest import Manifest
from fastffdi.data.readers import ReaderThreads

# Files per task: long enough to hide the pool's cost, short enough that Ctrl-C and progress do not wait.
_CHUNKS = {False: 256, True: 64}

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Survey:
    """The facts of N files.

    Attributes:
        manifest: the split they are of
        facts: (N,) FACTS
        sizes: (N,) int64, bytes of each file
        keys: (N,) S16, equal where the content is; where a file was not hashed, where the path is
        reasons: row → why that file cannot be used
    """

    manifest: Manifest
    facts: np.ndarray
    sizes: np.ndarray
    keys: np.ndarray
    reasons: dict[int, str]

    @property
    def usable(self) -> np.ndarray:
        """(N,) bool: which files have no fault."""
        return np.asarray(self.facts["problem"] == 0)


def survey(manifest: Manifest, threads: int, full: bool, progress: Progress = lambda n: None) -> Survey:
    """Inspect the files of `manifest` by `threads` threads; what is known of them already is not read again.

    `progress` gets the number of files done since its last call.
    """
    paths = manifest.paths()
    memory, rows = Memory.of(manifest.root), blank(paths)
    reasons: dict[int, str] = {}
    fresh = np.zeros(len(paths), bool)
    chunk = _CHUNKS[full]

    stopped = threading.Event()

    def inspected(path: str, size_bytes: int) -> Inspected:
        if stopped.is_set():
            raise CancelledError
        pool.begin(path)
        return inspect(path, size_bytes, full)

    def look(at: int) -> int:
        part = slice(at, at + chunk)
        absent = _identify(rows[part], paths[part], pool.begin)
        found = _found(rows[part], paths[part], memory.recall(rows[part], full), absent, inspected)
        fresh[part][list(found)] = True
        reasons.update({at + k: one.reason for k, one in found.items() if one.reason})
        return len(paths[part])

    cv2.setNumThreads(0)  # the threads here are enough
    try:
        with warnings.catch_warnings(), ReaderThreads(threads, "fastffdi-check") as pool:
            # Pillow's, about odd headers; here, since the filters are the whole process's.
            warnings.simplefilter("ignore")
            starts = iter(range(0, len(paths), chunk))
            try:
                for done in _alone_while_busy(pool, look, starts) if not full else ():
                    progress(done)
                for done in pool.map(look, starts):
                    progress(done)
            except BaseException:  # Ctrl-C above all: a chunk of large images would take seconds more
                stopped.set()
                raise
    finally:
        # Also after Ctrl-C: what was looked at once need not be again.
        if fresh.any():
            memory.keep(rows[fresh])
    facts = rows["facts"]
    keys = np.where(facts["full"], facts["content"], rows["path"])
    return Survey(manifest, facts, rows["identity"][:, 0], keys, reasons)


def _alone_while_busy(
    pool: ReaderThreads, look: Callable[[int], int], starts: Iterator[int]
) -> Iterator[int]:
    """Look at one chunk at a time until files have to be waited for, half of the time.

    Headers in the page cache take 30 µs a file, nearly all of it inside the interpreter: more threads would
    only wait for each other, and twice as long. With a disk or a network behind the files they help.
    """
    for start in starts:
        done, busy = pool.result(pool.submit(_timed, look, start))
        yield done
        if busy < 0.5:
            return


def _timed(look: Callable[[int], int], start: int) -> tuple[int, float]:
    """What `look` returns, and which share of its time the thread was at work."""
    began, used = time.perf_counter(), time.thread_time()
    done = look(start)
    return done, (time.thread_time() - used) / (time.perf_counter() - began)


def _found(
    rows: np.ndarray,
    paths: Sequence[str],
    known: np.ndarray,
    absent: dict[int, Inspected],
    inspected: Callable[[str, int], Inspected],
) -> dict[int, Inspected]:
    """Fill those of `rows` that are not known from the files; returns what was found out about them."""
    sizes = rows["identity"][:, 0].tolist()
    unknown = np.flatnonzero(~known).tolist()
    found = {k: absent.get(k) or inspected(paths[k], sizes[k]) for k in unknown}
    facts = np.array([one.facts for one in found.values()], FACTS)
    decoded = [k for k, one in enumerate(found.values()) if one.thumbnail is not None]
    look, small = described([one.thumbnail for one in found.values() if one.thumbnail is not None])
    facts["look"][decoded], facts["small"][decoded] = look, small.view("V64")[:, 0]
    rows["facts"][unknown] = facts
    return found


def _identify(rows: np.ndarray, paths: Sequence[str], begin: Callable[[str], None]) -> dict[int, Inspected]:
    """Fill in the identities; returns what cannot be a file at all."""
    absent, identities = {}, []
    for k, path in enumerate(paths):
        begin(path)
        try:
            info = os.stat(path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            gone = isinstance(error, FileNotFoundError) and not os.path.lexists(path)
            reason = getattr(error, "strerror", None) or str(error)
            absent[k] = Inspected(problem_row("missing" if gone else "unreadable"), reason)
            identities.append((0, 0))
            continue
        identities.append((info.st_size, info.st_mtime_ns))
        if not stat.S_ISREG(info.st_mode):
            absent[k] = Inspected(problem_row("unreadable"), "not a file")
    if identities:
        rows["identity"] = identities
    return absent

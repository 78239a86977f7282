"""Any folder of files through every loader, and what became of each file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import numpy as np

from torture.reader import CHUNK, LOADERS, REFERENCE

#: The most that an image may differ from Pillow's, in levels on average.
MEAN_LEVELS = 2.0
#: The longest that a file may take, in seconds; and after which a loader counts as hung.
SLOW_SECONDS, HUNG_SECONDS = 2.0, 60.0
#: Files begun before the one that is given: the one that killed a process may be one of so many.
AHEAD = 4

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Outcome:
    """What a loader made of the files, by their number.

    Attributes:
        decoded, named: the file's seconds until its image, or its error, was there
        reasons: of those named
        faults: what must not happen, by file; -1 where it is not known of which
    """

    decoded: dict[int, float] = field(default_factory=dict)
    named: dict[int, float] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)

    @property
    def answered(self) -> set[int]:
        """Files of which it is known what they are."""
        return {*self.decoded, *self.named}


def files_below(folders: Sequence[Path]) -> list[str]:
    """All files of the folders and below, whatever their names."""
    return sorted(
        os.path.join(place, name)
        for folder in folders
        for place, _, names in os.walk(folder.resolve())
        for name in names
        if os.path.isfile(os.path.join(place, name))
    )


def outcome(
    name: str,
    listing: Path,
    count: int,
    gib: float = 2.0,
    say: Callable[[int], None] = lambda done: None,
) -> Outcome:
    """What a loader, or the reference, makes of the `count` files of a listing; each process takes `gib`.

    After a death or a hang, another process goes on behind it, the files in question one by one.
    """
    found = Outcome()
    start = 0
    while start < count:
        at, how = _run(name, listing, start, count, gib, found, say)
        if not how:
            break
        if at < 0:  # in the pass of larger batches, or after the last file
            found.faults[-1] = how
            start = min(count, (start // CHUNK + 1) * CHUNK)
            continue
        suspects = range(max(start, at - 1), min(count, at + AHEAD))
        for k in suspects:
            _, how = _run(name, listing, k, k + 1, gib, found, say)
            if how:
                found.faults[k] = how
        start = suspects.stop
    return found


def _run(
    name: str,
    listing: Path,
    start: int,
    stop: int,
    gib: float,
    found: Outcome,
    say: Callable[[int], None],
) -> tuple[int, str]:
    """Read a range of files: ("", …) at its end, else the file of a death or hang and a word for it."""
    words = [sys.executable, "-m", "torture.reader", name, str(listing), str(start), str(stop), str(gib)]
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests"))),
    }
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as child:
        lines: Queue[str] = Queue()
        told: list[str] = []
        threads = [
            threading.Thread(target=_forward, args=(child.stdout, lines.put)),
            threading.Thread(target=_forward, args=(child.stderr, told.append)),
        ]
        for thread in threads:
            thread.start()
        at, how = _followed(lines, found, say)
        if how == "hung":
            child.kill()
        code = child.wait()
        for thread in threads:
            thread.join()
    if how == "ended":
        last = told[-1].strip() if told else ""
        return at, f"ended with {code}: {last}"[:300]
    return at, how


def _forward(stream: Any, put: Callable[[str], None]) -> None:
    for line in stream:
        put(line)
    put("")


def _followed(lines: Queue[str], found: Outcome, say: Callable[[int], None]) -> tuple[int, str]:
    at = -1
    while True:
        try:
            text = lines.get(timeout=HUNG_SECONDS)
        except Empty:
            return at, "hung"
        if not text:
            return at, "ended"
        line = json.loads(text)
        if "begin" in line:
            at = line["begin"]
        elif "end" in line:
            _note(line, found)
            say(line["end"])
        elif "differs" in line:
            found.faults[line["differs"]] = "another image in a larger batch"
        elif "together" in line:
            at = -1
        elif "done" in line:
            return at, ""


def _note(line: dict[str, Any], found: Outcome) -> None:
    k = line["end"]
    (found.decoded if line["decoded"] else found.named)[k] = line["seconds"]
    if not line["decoded"]:
        found.reasons[k] = line["reason"]
    if line["seconds"] > SLOW_SECONDS:
        found.faults[k] = f"took {line['seconds']:.1f} s"


def compare(found: Outcome, reference: Outcome, name: str, folder: Path) -> None:
    """Add as faults the files that a loader decodes and Pillow does not, or otherwise."""
    for k in found.decoded:
        if k not in reference.decoded:
            found.faults.setdefault(k, f"decoded, Pillow says {reference.reasons.get(k, 'nothing')}")
            continue
        ours, theirs = (np.load(folder / f"{who}-{k}.npy").astype(int) for who in (name, REFERENCE))
        levels = abs(ours - theirs).mean()
        if levels > MEAN_LEVELS:
            found.faults.setdefault(k, f"differs by {levels:.1f} levels")
        (folder / f"{name}-{k}.npy").unlink()


def torture(
    paths: Sequence[str],
    folder: Path,
    loaders: Sequence[str] = LOADERS,
    gib: float = 2.0,
    say: Callable[[str, int], None] = lambda name, done: None,
) -> dict[str, Outcome]:
    """The outcome of each loader, and of the reference; `folder` is for what is written meanwhile."""
    listing = folder / "files"
    listing.write_bytes("\0".join(paths).encode(errors="surrogateescape"))
    found = {}
    for name in (REFERENCE, *loaders):
        found[name] = outcome(name, listing, len(paths), gib, lambda done, name=name: say(name, done))
    for name in loaders:
        compare(found[name], found[REFERENCE], name, folder)
    return found

"""docs/reliability.md: what was tried, and what was survived."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastffdi.bench import machine
from torture.files import MEAN_LEVELS, SLOW_SECONDS, Outcome
from torture.matrix import Row
from torture.reader import REFERENCE

TEXT = """# What is survived

Made by `make torture`, which takes any folder: `python -m torture FOLDER` (with `tests` on the `PYTHONPATH`).

## Files

{count:,} files of {folders}, each through every loader, alone and in batches of 16,
in a process that may hold {gib:g} GB of data. A file is all right where it is decoded as Pillow decodes it,
within {levels:g} levels of 255 on average after a resize to 128 pixels, or is named as one that cannot be
decoded; in at most {slow:g} s; and is the same in a larger batch.

{files}

Pillow itself decodes {decoded:,} of them, and refuses {refused:,}.

## Faults

A command survives where it ends with the exit code that belongs to the fault, in two seconds, without a
traceback, and without a process, temporary file or torn output left behind; signals come at random moments
after the start, the imports included. A loader survives where all rows come, once and with their own labels.
*Rows lost* counts rows that are neither there nor named.

{faults}

{sentence}
"""


def text(
    folders: Sequence[Path],
    count: int,
    found: Mapping[str, Outcome],
    vanished: Sequence[Row],
    faults: Sequence[Row],
    gib: float,
) -> str:
    """The page."""
    reference = found[REFERENCE]
    return TEXT.format(
        count=count,
        folders=" and ".join(f"`{folder.name}`" for folder in folders),
        gib=gib,
        levels=MEAN_LEVELS,
        slow=SLOW_SECONDS,
        files=_files(count, found),
        decoded=len(reference.decoded),
        refused=len(reference.named),
        faults=_faults([*vanished, *faults]),
        sentence=machine.sentence(machine.facts(), 2),
    )


def wrong(paths: Sequence[str], found: Mapping[str, Outcome], faults: Sequence[Row]) -> list[str]:
    """What went wrong, one line each."""
    lines = [
        f"{name}: {paths[k] if k >= 0 else 'after the last file'}: {fault}"
        for name, outcome in found.items()
        if name != REFERENCE
        for k, fault in sorted(outcome.faults.items())
    ]
    lines += [
        f"{name}: {paths[k]}: no answer"
        for name, outcome in found.items()
        if name != REFERENCE
        for k in sorted(set(range(len(paths))) - outcome.answered - set(outcome.faults))
    ]
    return [*lines, *(f"{row.fault}, {row.command}: {fault}" for row in faults for fault in row.faults)]


def _files(count: int, found: Mapping[str, Outcome]) -> str:
    head = "| loader | files | decoded | named | rows lost | wrong | time to detect, median / longest (ms) |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|"]
    for name, outcome in found.items():
        if name == REFERENCE:
            continue
        lost = count - len(outcome.answered)
        lines.append(
            f"| {name} | {count:,} | {len(outcome.decoded):,} | {len(outcome.named):,} | {lost} | "
            f"{len(outcome.faults)} | {_times(list(outcome.named.values()), 1000)} |"
        )
    return "\n".join(lines)


def _faults(rows: Sequence[Row]) -> str:
    if not rows:
        return "(not tried)"
    head = "| fault | command | tries | survived | rows lost | time to detect, median / longest (s) |"
    lines = [head, "|---|---|---:|---:|---:|---:|"]
    for row in rows:
        lost = 0 if not row.faults else "?"
        lines.append(
            f"| {row.fault} | {row.command} | {len(row.seconds)} | {row.survived} | {lost} | "
            f"{_times(row.seconds, 1)} |"
        )
    return "\n".join(lines)


def _times(seconds: Sequence[float], scale: float) -> str:
    if not seconds or not max(seconds):
        return "–"
    return f"{statistics.median(seconds) * scale:.2f} / {max(seconds) * scale:.2f}"

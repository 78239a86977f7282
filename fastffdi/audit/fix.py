"""Label files without what cannot be used, and the list of what was left out. Images are never touched."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastffdi.audit.audit import Audit
from fastffdi.audit.facts import PROBLEMS
from fastffdi.data.manifest import Manifest
from fastffdi.errors import RunError, SettingError
from fastffdi.files import atomic


@dataclass(frozen=True)
class FixFiles:
    """Where things are written: for clean.csv also clean.val.csv and clean.quarantine.csv beside it.

    Attributes:
        train, val: label files img_name,target with the names of the data set
        quarantine: name,reason of what was left out; names below their split's folder, after `training/` or
            `validation/`
    """

    train: Path
    val: Path
    quarantine: Path

    @classmethod
    def beside(cls, file: Path) -> FixFiles:
        """For `--fix FILE`."""
        val, quarantine = (
            file.with_name(f"{file.stem}.{part}{file.suffix}") for part in ("val", "quarantine")
        )
        return cls(file, val, quarantine)

    def all(self) -> tuple[Path, Path, Path]:
        """The three of them."""
        return self.train, self.val, self.quarantine


def reasons(audit: Audit) -> dict[int, str]:
    """Row → why it is left out: unusable, with copies under the other label, or in training too."""
    found: dict[int, str] = {}
    start = 0
    for split in (audit.train, audit.val):
        for row in np.flatnonzero(~split.usable).tolist():
            why = f"{PROBLEMS[split.facts['problem'][row]]}: {split.reasons.get(row, '')}"
            found[start + row] = why.removesuffix(": ")
        start += len(split.facts)
    for finding in audit.findings:
        for place, row in enumerate(finding.rows.tolist()):
            if finding.kind == "label-conflict":
                found.setdefault(row, "copies have the other label")
            elif finding.kind == "leak":
                other = audit.named(int(finding.others[place]))[1]
                found.setdefault(row, f"in the training set as {other}")
    return found


def write(audit: Audit, files: FixFiles) -> int:
    """Write the three files; returns how many rows were left out.

    Raises RunError where they cannot be written, as on a full disk: each is then whole, or as it was.
    """
    left_out = reasons(audit)
    kept = np.ones(len(audit.labels), bool)
    kept[list(left_out)] = False
    beyond = len(audit.train.facts)
    _write(files.train, ("img_name", "target"), _labelled(audit.dataset.train, kept[:beyond]))
    _write(files.val, ("img_name", "target"), _labelled(audit.dataset.val, kept[beyond:]))
    rows = (("/".join(audit.named(row)), why) for row, why in sorted(left_out.items()))
    _write(files.quarantine, ("name", "reason"), rows)
    return len(left_out)


def check_fix(files: FixFiles, overwrite: bool) -> None:
    """Raise SettingError where a file could not be written, or exists, unless `overwrite`."""
    if not files.train.resolve().parent.is_dir():
        raise SettingError(f"--fix {files.train}: there is no folder {files.train.parent}; make it first")
    for file in files.all():
        if file.is_dir():
            raise SettingError(f"--fix {files.train}: {file} is a folder; name another file to write")
        if file.exists() and not overwrite:
            raise SettingError(f"--fix {files.train}: {file} exists; name another file, or add --overwrite")


def _labelled(split: Manifest, kept: np.ndarray) -> Iterable[tuple[str, int]]:
    rows = split.take(kept)
    return zip(rows.names.tolist(), np.asarray(rows.labels).tolist(), strict=True)


def _write(file: Path, header: tuple[str, str], rows: Iterable[tuple[str, object]]) -> None:
    try:
        # Names of files that are not UTF-8 come back as the bytes that they are.
        with (
            atomic(file) as part,
            part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as text,
        ):
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
    except OSError as error:
        what = f"{file}: cannot be written ({error.strerror})"
        raise RunError(f"{what}; free some room, or name another file") from None

"""Scores of a prediction that is under way, beside its table: files that are whole or absent."""

from __future__ import annotations

import glob
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastffdi.errors import RunError, SettingError, differences
from fastffdi.files import DiskFull, atomic, discard_parts
from fastffdi.model.processes import Processes

#: How often the scores are written down.
SECONDS = 5.0

_FOLDER, _KEY, _SCORES = ".parts", "key.json", ".scores"
_DIGEST_BYTES = 32


class Known(NamedTuple):
    """Scores: rows (n,) int64, P(fake) (n,) float64, NaN of images that were skipped, and why, by name."""

    rows: np.ndarray
    scores: np.ndarray
    reasons: dict[str, str]

    @classmethod
    def joined(cls, parts: Sequence[Known]) -> Known:
        """All of these together."""
        rows = np.concatenate([np.empty(0, np.int64), *(part.rows for part in parts)])
        scores = np.concatenate([np.empty(0), *(part.scores for part in parts)])
        return cls(rows, scores, {name: why for part in parts for name, why in part.reasons.items()})

    @classmethod
    def none(cls) -> Known:
        """Of no images."""
        return cls.joined([])


class Parts:
    """The folder OUTPUT.parts, into which every process of a run writes what it has scored.

    Args:
        output: the table that is to be written
        key: what decides the scores, as plain data by option
        processes: all of the run; they have to see the folder, or keep nothing

    Attributes:
        known: what was found in the folder
    """

    def __init__(self, output: Path, key: Mapping[str, Any], processes: Processes | None = None) -> None:
        self.folder = output.with_name(output.name + _FOLDER)
        self.known = Known.none()
        self._output, self._key, self._processes = output, dict(key), processes or Processes()
        self._number = 0

    def open(self, resume: bool, say: Callable[[str], None] = lambda line: None) -> None:
        """Take up what an interrupted run has left, or drop it without `resume`; `say` gets a line about it.

        Raises SettingError for scores that other settings have made, and for a folder of something else.
        """
        processes = self._processes
        for other in processes.all(self._key):
            if unlike := differences(self._key, other):
                raise SettingError(
                    f"processes would score differently: {'; '.join(unlike)}; give all machines the same "
                    "command and the same data"
                )
        self.known = processes.first(lambda: self._begin(resume, say))
        own = self.folder.glob(f"{self._rank}-*{_SCORES}")
        self._number = 1 + max((int(path.stem.partition("-")[2]) for path in own), default=-1)

    def add(self, rows: np.ndarray, scores: np.ndarray, reasons: Mapping[str, str]) -> None:
        """Keep the scores of some more rows. Raises DiskFull where the disk is, and RunError."""
        if not self._processes.world.first and not self.folder.is_dir():
            return  # on another machine, with a disk of its own
        path = self.folder / f"{self._rank}-{self._number:06d}{_SCORES}"
        self._number += 1
        try:
            self._prepare()
            with atomic(path) as part:
                part.write_bytes(_packed(rows, scores, reasons))
        except DiskFull:
            raise
        except OSError as error:
            raise RunError(f"{path}: cannot be written ({error.strerror}); make it writable") from error

    def kept(self) -> bool:
        """Whether there are scores in the folder."""
        return any(self.folder.glob(f"*{_SCORES}"))

    def remove(self) -> None:
        """Delete the folder with all that is in it, but for files of others. Only one process may."""
        if not (self.folder / _KEY).exists():
            return
        for path in self.folder.glob(f"*{_SCORES}"):
            path.unlink(missing_ok=True)
        discard_parts(self.folder)
        (self.folder / _KEY).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    @property
    def _rank(self) -> str:
        return f"{self._processes.world.rank:04d}"

    def _begin(self, resume: bool, say: Callable[[str], None]) -> Known:
        known, key = Known.none(), self._found_key()
        if key is not None:
            known = self._taken(key, say) if resume else self._dropped(say)
            discard_parts(self._output.parent, glob.escape(self._output.name))
        if not self._processes.world.alone:
            self._prepare()
        return known

    def _taken(self, key: dict[str, Any], say: Callable[[str], None]) -> Known:
        if unlike := differences(key, self._key):
            raise SettingError(
                f"--resume: {self.folder} holds scores of another prediction: {'; '.join(unlike)}; give the "
                "command that was interrupted, or leave out --resume to begin again"
            )
        known = self._read()
        say(f"{self.folder}: goes on from the scores of {len(known.rows)} images")
        return known

    def _dropped(self, say: Callable[[str], None]) -> Known:
        if count := len(self._read().rows):
            say(
                f"{self.folder}: the scores of {count} images by an interrupted run are dropped; --resume "
                "would have gone on"
            )
        self.remove()
        return Known.none()

    def _read(self) -> Known:
        """All that can be read; a file that is torn is as good as none."""
        found = (_unpacked(path.read_bytes()) for path in sorted(self.folder.glob(f"*{_SCORES}")))
        return Known.joined([one for one in found if one is not None])

    def _found_key(self) -> dict[str, Any] | None:
        """The key in the folder; None where there is nothing. Raises SettingError for what is not ours."""
        if not self.folder.exists() or (self.folder.is_dir() and not self._visible()):
            return None
        try:
            key = json.loads((self.folder / _KEY).read_bytes())
        except (OSError, ValueError):
            key = None
        if not isinstance(key, dict):
            raise SettingError(
                f"--output {self._output}: predict keeps scores in {self.folder} meanwhile, which holds "
                "something else; move that away, or name another output"
            )
        return key

    def _visible(self) -> bool:
        """Whether the folder holds anything but a file that was being written when its process ended."""
        return any(not path.name.startswith(f".{_KEY}.") for path in self.folder.iterdir())

    def _prepare(self) -> None:
        """Make the folder, with the key; several processes may at once."""
        if (self.folder / _KEY).exists():
            return
        self.folder.mkdir(exist_ok=True)
        with atomic(self.folder / _KEY) as part:
            part.write_text(json.dumps(self._key, indent=2) + "\n", encoding="utf-8")


def _packed(rows: np.ndarray, scores: np.ndarray, reasons: Mapping[str, str]) -> bytes:
    """As bytes, after their checksum. No pickle."""
    words = np.frombuffer(json.dumps(dict(reasons)).encode(), np.uint8)
    data = io.BytesIO()
    np.savez(data, rows=np.asarray(rows, "<i8"), scores=np.asarray(scores, "<f8"), reasons=words)
    return hashlib.sha256(data.getvalue()).digest() + data.getvalue()


def _unpacked(data: bytes) -> Known | None:
    """What `_packed` was given; None where the checksum is another."""
    digest, rest = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(rest).digest() != digest:
        return None
    with np.load(io.BytesIO(rest), allow_pickle=False) as found:
        reasons = json.loads(found["reasons"].tobytes())
        return Known(found["rows"].astype(np.int64), found["scores"].astype(np.float64), reasons)

"""Files that are either whole or absent, and the folder for caches."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fastffdi.errors import RunError

#: What the system says where there is no room: the disk is full, or the user's share of it is used up.
FULL = (errno.ENOSPC, errno.EDQUOT)

_PART = ".part"

#: The folders of the temporary files that are being written, for `discard_parts`.
_parts: set[Path] = set()


class DiskFull(RunError, OSError):
    """There is no room for a file: an OSError too, for those who can do without the file."""

    def __init__(self, path: Path, needed_bytes: int) -> None:
        mib = -(-needed_bytes // 2**20) or 1
        self._message = (
            f"{path}: the disk is full; {mib:,} MiB are needed; free some room or give another folder"
        )
        super().__init__(self._message)
        self.errno, self.strerror = errno.ENOSPC, os.strerror(errno.ENOSPC)
        self.path, self.needed_bytes = path, needed_bytes

    def __str__(self) -> str:
        return self._message

    def __reduce__(self) -> tuple[type[DiskFull], tuple[Path, int]]:
        return type(self), (self.path, self.needed_bytes)


@contextlib.contextmanager
def atomic(path: Path, needed_bytes: int = 0) -> Iterator[Path]:
    """Yield a temporary path; on success it is synced and renamed to `path`.

    A reader, and a run after a power cut, sees the old file or the new one, never a part of it. The temporary
    file is an empty one in a hidden folder of its own beside `path`: what a writer leaves there goes as well.
    `needed_bytes` is how large the file will be, where that is known: DiskFull says it. Raises DiskFull where
    the disk is, and OSError.
    """
    try:
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path.name), suffix=_PART))
    except OSError as error:
        _refuse_full(error, path, needed_bytes)
        raise
    part = folder / path.name
    _parts.add(folder)
    try:
        part.touch()
        yield part
        _sync(part)
        part.chmod(0o666 & ~_umask())
        part.replace(path)
        _sync(path.parent)
    except OSError as error:
        _refuse_full(error, path, max(needed_bytes, _size(part), _size(path)))
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _parts.discard(folder)


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file, which is made where it is absent: all of `data`, or nothing.

    Raises DiskFull where the disk is, and OSError.
    """
    with path.open("ab", buffering=0) as file:
        before, rest = os.fstat(file.fileno()).st_size, memoryview(data)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            file.truncate(before)
            _refuse_full(error, path, len(data))
            raise


def discard_parts(folder: Path | None = None, names: str = "*") -> None:
    """Delete the temporary files that this process is writing, for when it ends at once.

    With a folder, those that ended processes have left there for files with such `names`, a glob pattern.
    """
    found = [*_parts] if folder is None else [*folder.glob(f"{_prefix(names)}*{_PART}")]
    for part in found:
        shutil.rmtree(part, ignore_errors=True)


def cache_folder() -> Path:
    """Where files that can be made again are kept: `$FASTFFDI_CACHE`, else `~/.cache/fastffdi` (XDG)."""
    named = os.environ.get("FASTFFDI_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fastffdi"


def _prefix(name: str) -> str:
    return f".{name}."


def _refuse_full(error: OSError, path: Path, needed_bytes: int) -> None:
    if error.errno in FULL and not isinstance(error, DiskFull):
        raise DiskFull(path, needed_bytes) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

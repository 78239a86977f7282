"""The folder of `--cache`: which stores are in it, what they are called, and how much room there is."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastffdi.cache.index import FORMAT
from fastffdi.cache.store import Store
from fastffdi.errors import RunError, SettingError

#: Left free on the disk, for everything else: bytes, or a share of it where that is less.
_RESERVE_BYTES, _RESERVE_SHARE = 1 << 30, 0.05

#: What stores of any format are called, also ones that were never finished, and what is in them.
_STORE = re.compile(r"[0-9a-f]{32}|\.[0-9a-f]{32}\.[0-9a-f]{8}\.part")
_FILE = re.compile(r"meta\.json|index|pixels\.raw|shard-\d{5}\.raw|\.(meta\.json|index)\.\w+\.part")
_FORMAT = "fastffdi cache "

#: A description is far shorter than this, in bytes.
_META_BYTES = 1 << 16


@dataclass(frozen=True)
class KeptStore:
    """A store in a folder, of this format or an older one.

    Attributes:
        meta: its meta.json
    """

    path: Path
    meta: Mapping[str, Any]

    @property
    def bytes(self) -> int:
        """What it takes on the disk; 0 where that cannot be learnt."""
        with suppress(OSError):
            return sum(512 * path.lstat().st_blocks for path in self._files())
        return 0

    def usable(self, makers: Mapping[str, Any]) -> bool:
        """Whether this version and machine, which are the `makers`, find images in it."""
        return self.meta.get("format") == FORMAT and self.meta.get("by") == makers

    def told(self, makers: Mapping[str, Any]) -> str:
        """One line for people."""
        line = (
            f"{self.path}: {readable_bytes(self.bytes)}, {self._images()} {_applied(self.meta.get('steps'))}"
        )
        return line if self.usable(makers) else f"{line}, of another version or kind of machine"

    def remove(self) -> None:
        """Remove its files, and then its folder unless it holds other files. Raises RunError."""
        try:
            for path in sorted(self._files(), key=lambda path: path.name == "meta.json"):  # that last
                path.unlink()
            if not any(self.path.iterdir()):
                self.path.rmdir()
        except OSError as error:
            raise RunError(
                f"--cache {self.path.parent}: {error.filename} cannot be removed ({error.strerror}); remove "
                "it by hand"
            ) from None

    def _files(self) -> list[Path]:
        return [path for path in self.path.iterdir() if _FILE.fullmatch(path.name)]

    def _images(self) -> str:
        try:
            stored = Store(self.path).stored
        except SettingError:  # damaged, or of another format
            return "images"
        return "1 image" if stored == 1 else f"{stored:,} images"


def key(description: Mapping[str, Any]) -> str:
    """The folder name of a store: a hash of the format and the description of what it holds."""
    data = json.dumps({"format": FORMAT, **description}, sort_keys=True).encode()
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def free_bytes(folder: Path) -> int:
    """What stores may take of the disk where a folder is, or is to be; a reserve is left for the rest."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    disk = shutil.disk_usage(there)
    return disk.free - min(_RESERVE_BYTES, int(_RESERVE_SHARE * disk.total))


def stores(folder: Path) -> list[KeptStore]:
    """The stores in a folder, also ones that were never finished; links are not followed.

    Raises SettingError where the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SettingError(
            f"--cache {folder}: cannot be read ({error.strerror}); name another folder"
        ) from None
    metas = ((folder / name, _meta(folder / name / "meta.json")) for name in sorted(names))
    return [KeptStore(path, meta) for path, meta in metas if meta is not None and _STORE.fullmatch(path.name)]


def readable_bytes(count: int) -> str:
    """A number of bytes for people: 98.3 GB, or 41.2 MB."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def listing(folder: Path) -> str:
    """The command that says what each store holds and takes."""
    return f"fastffdi cache --cache {shlex.quote(str(folder))} --list"


def _meta(path: Path) -> dict[str, Any] | None:
    """What a file says of a store; None where it is none."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as file:
            data = json.loads(file.read(_META_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    known = isinstance(data, dict) and str(data.get("format")).startswith(_FORMAT)
    return data if known else None


def _applied(steps: object) -> str:
    """`after resize: {size: [256, 256]}`; in ASCII, whatever a file says."""
    if not isinstance(steps, list) or not steps:
        return "as they are decoded"
    entries = (json.dumps(step).replace('"', "") for step in steps)
    return "after " + ", ".join(re.sub(r"^\{(.*)\}$", r"\1", entry) for entry in entries)

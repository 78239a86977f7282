"""The folder of `--cache`: which stores are in it, what they are called, and how much room there is."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastffdi.cache.index import FORMAT

#: Left free on the disk, for everything else: bytes, or a share of it where that is less.
_RESERVE_BYTES, _RESERVE_SHARE = 1 << 30, 0.05


def key(description: Mapping[str, Any]) -> str:
    """The folder name of a store: a hash of the format and the description of what it holds."""
    data = json.dumps({"format": FORMAT, **description}, sort_keys=True).encode()
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def free_bytes(folder: Path) -> int:
    """What stores may take of the disk where a folder is, or is to be; a reserve is left for the rest."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    disk = shutil.disk_usage(there)
    return disk.free - min(_RESERVE_BYTES, int(_RESERVE_SHARE * disk.total))


def stores(folder: Path) -> list[Path]:
    """The stores in a folder, also ones that were never finished."""
    return sorted(path.parent for path in folder.glob("*/meta.json") if _is_meta(path))


def clear(folder: Path) -> int:
    """Remove all stores in a folder, and nothing else; the bytes that this gives back to the disk."""
    found = stores(folder)
    freed = sum(512 * path.stat().st_blocks for store in found for path in store.iterdir())
    for store in found:
        shutil.rmtree(store)
    return freed


def readable_bytes(count: int) -> str:
    """A number of bytes for people: 98.3 GB, or 41.2 MB."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def _is_meta(path: Path) -> bool:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and data.get("format") == FORMAT

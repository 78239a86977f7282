"""Where bytes are read that anybody may have written. Nothing but FastffdiError may come out.

A target returns when the bytes are taken or refused, and raises what is a fault in the package.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import shutil
import struct
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from in_memory import InMemory

from fastffdi.audit.files import inspect
from fastffdi.cache.folder import stores
from fastffdi.cache.store import Store
from fastffdi.data.headers import image_size, orientation
from fastffdi.data.labels import read_labels
from fastffdi.data.limits import Limits
from fastffdi.data.refusal import checked_header
from fastffdi.data.source import Identity
from fastffdi.errors import FastffdiError
from fastffdi.inference.member import recipe_of
from fastffdi.loaders.settings import read_settings
from fastffdi.model import checkpoint
from fastffdi.model.weights import read_tensors
from fastffdi.recipe.recipe import load, parse
from fastffdi.render.cpu.decode import decode_path

Target = Callable[[bytes], None]

#: Small, so that what is larger costs no time: the limits have tests of their own.
LIMITS = Limits(pixels=1 << 18, file_bytes=1 << 20)


def probe(data: bytes) -> None:
    """Sizes and headers of images."""
    assert 1 <= orientation(data) <= 8
    with refused():
        height, width = image_size("x", InMemory(data))
        assert height > 0
        assert width > 0
    with refused():
        checked_header("x", LIMITS, InMemory(data))


def decode(data: bytes) -> None:
    """Decoders, behind the probe."""
    with refused():
        image = decode_path("x", source=InMemory(data), limits=LIMITS)
        assert image.dtype == np.uint8
        assert image.ndim == image.shape[2] == 3
        assert image.shape[0] * image.shape[1] <= LIMITS.pixels


def check(data: bytes) -> None:
    """The audit of a file, quick and full: what is wrong with it is a finding, never an error."""
    path = written("image", data)
    for full in (False, True):
        if not full or _admitted(data):
            inspect(str(path), len(data), full)


def labels(data: bytes) -> None:
    """Label files."""
    folder = scratch() / "set"
    if not folder.is_dir():
        (folder / "sub").mkdir(parents=True)
        for name in ("a.jpg", "b.png", "sub/c.jpg"):
            (folder / name).touch()
    file = written("list.csv", data)
    for targets in ("required", "optional"):
        with refused():
            found = read_labels(file, folder, targets=targets, duplicates=True, absent=True)
            assert all(path.startswith(f"{folder}/") for path in found.paths())


def recipe(data: bytes) -> None:
    """Recipes and loader settings."""
    path = written("recipe.yaml", data)
    with refused():
        found = load(str(path))
        assert parse(found.to_data(), "again", code=True) == found
    with refused():
        read_settings(path)


def weights(data: bytes) -> None:
    """Weights of a backbone: safetensors, or torch's archives and pickles."""
    with refused():
        read_tensors(written("weights", data))


def header(data: bytes) -> None:
    """Checkpoints: any file, and any description in a file that is whole otherwise."""
    path = written("checkpoint.safetensors", data)
    with refused():
        checkpoint.read(path)
    path = written("checkpoint.safetensors", safetensors(data.decode("utf-8", "replace")))
    with refused():
        found = checkpoint.read(path)
        recipe_of(found.recipe, path)


def index(data: bytes) -> None:
    """A cache's store: its index, and what the folder says of it."""
    folder = scratch() / "cache" / ("0" * 32)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index").write_bytes(data)
    (folder / "meta.json").write_bytes(data)
    (folder / "pixels.raw").write_bytes(data[:4096])
    for store in stores(folder.parent):
        assert store.told({}).isprintable()
    with refused():
        store = Store(folder)
        store.holds(np.zeros(3, "S16"))
        for k in range(min(len(store), 4)):
            image = store.get(k, Identity(0, 0))
            assert image is None or image.dtype == np.uint8


TARGETS: dict[str, Target] = {
    target.__name__: target for target in (probe, decode, check, labels, recipe, weights, header, index)
}


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """What the package refuses on purpose ends the block."""
    with warnings.catch_warnings(), contextlib.suppress(FastffdiError):
        warnings.simplefilter("ignore")
        yield


def safetensors(description: str) -> bytes:
    """A file of one number with this description."""
    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    head = json.dumps({"__metadata__": {checkpoint.HEADER: description}, "a": tensor}).encode()
    return struct.pack("<Q", len(head)) + head + b"\0" * 4


@cache
def scratch() -> Path:
    """This process's folder for files."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="fastffdi-fuzz-", dir=memory))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def written(name: str, data: bytes) -> Path:
    path = scratch() / name
    path.write_bytes(data)
    return path


def _admitted(data: bytes) -> bool:
    """Whether the image is small by its header, since a check has the limits of every day."""
    try:
        checked_header("x", LIMITS, InMemory(data))
    except FastffdiError:
        return False
    return True

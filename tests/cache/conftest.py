"""Fixtures of the cache's tests: a store, images of a test's own, and which files are opened."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from stored_images import SIZES, made

from fastffdi.cache.store import Store
from fastffdi.data.manifest import Manifest
from fastffdi.data.source import FileSource


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store for five small images."""
    return made(tmp_path / "store", SIZES)


@pytest.fixture
def copy(image_files: Manifest, tmp_path: Path) -> Manifest:
    """The images in a folder of the test's own."""
    root = tmp_path / "images"
    shutil.copytree(image_files.root, root)
    return replace(image_files, root=str(root))


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """After a call no image file can be opened any more."""

    def read(self, path):
        raise AssertionError(path)

    return lambda: monkeypatch.setattr(FileSource, "read", read)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were opened so far."""
    read, paths = FileSource.read, []
    monkeypatch.setattr(FileSource, "read", lambda self, path: paths.append(path) or read(self, path))
    return paths

"""Fixtures of the audit's tests: data sets with planted faults, and a cache folder of their own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from planted import Rows, write

from fastffdi.data.layout import Dataset, listed_dataset


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FASTFFDI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def planted(tmp_path: Path) -> Callable[[Rows], Dataset]:
    """planted(rows): the data set of those rows."""

    def make(rows: Rows) -> Dataset:
        write(tmp_path / "data", rows)
        return listed_dataset(tmp_path / "data")

    return make

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from fastffdi.errors import SettingError
from fastffdi.inference import parquet_table
from fastffdi.inference.table import check_format, write_table

NAMES = np.array(["a,b.jpg", "日本.jpg", os.fsdecode(b"caf\xe9.jpg"), "a\nb"], object)
SCORES = np.array([0.25, np.nan, np.float32(0.1), 1])


@pytest.fixture
def parquet():
    return pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")


def test_columns_are_words_and_numbers(parquet, tmp_path):
    words, some = np.array(["real", "fake", "real", "fake"], object), [0, 1, 3]
    further = {"decision": words[some], "spread": SCORES[some], "views": np.arange(3)}
    write_table(tmp_path / "out.parquet", NAMES[some], SCORES[some], further=further)
    found = parquet.read_table(tmp_path / "out.parquet")
    assert found.to_pydict() == {
        "img_name": ["a,b.jpg", "日本.jpg", "a\nb"],
        "y_pred": [0.25, None, 1.0],
        "decision": ["real", "fake", "fake"],
        "spread": [0.25, None, 1.0],
        "views": [0, 1, 2],
    }
    assert [str(kind) for kind in found.schema.types] == ["string", "double", "string", "double", "int64"]


def test_names_that_are_not_utf8_are_shown_and_have_their_bytes_beside_them(parquet, tmp_path):
    write_table(tmp_path / "out.parquet", NAMES, SCORES, fill="-1")
    found = parquet.read_table(tmp_path / "out.parquet").to_pydict()
    assert [*found] == ["img_name", "y_pred", "img_name_bytes"]
    assert found["img_name"] == ["a,b.jpg", "日本.jpg", r"caf\xe9.jpg", "a\nb"]
    assert found["img_name_bytes"] == [None, None, b"caf\xe9.jpg", None]
    assert found["y_pred"] == [0.25, -1.0, SCORES[2], 1.0]


def test_pyarrow_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    with pytest.raises(SettingError) as error:
        check_format(Path("a.parquet"))
    assert str(error.value) == (
        "--output a.parquet: pyarrow is not installed; pip install 'fastffdi[parquet]', or name a .csv or "
        ".jsonl file"
    )
    assert parquet_table.INSTALL in str(error.value)

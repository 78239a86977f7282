"""Further columns of label files: kept, and read when one is asked for."""

from pathlib import Path

import numpy as np
import pytest

from fastffdi.data import columns
from fastffdi.data.labels import read_labels
from fastffdi.data.manifest import Manifest
from fastffdi.errors import DataError


@pytest.fixture
def read(tmp_path):
    """read(text): the rows of a label file; the images a.jpg, b.jpg and c.jpg are there."""
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).touch()

    def given(text):
        (tmp_path / "labels.csv").write_text(text)
        return read_labels(tmp_path / "labels.csv", tmp_path, targets="required", duplicates=False)

    return given


@pytest.mark.parametrize(
    "text",
    [
        "img_name,target,person\na.jpg,0,p1\nb.jpg,1, p2\nc.jpg,1,\n",
        "person;target;img_name\np1;0;a.jpg\np2;1;b.jpg\n;1;c.jpg\n\n",
        "\n\nimg_name\ttarget\tother\tperson\na.jpg\t0\tx\tp1\nb.jpg\t1\ty\tp2\nc.jpg\t1\n",
    ],
)
def test_a_column_has_a_cell_for_each_image(read, text):
    rows = read(text)
    assert rows.names.tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert rows.column("person").tolist() == ["p1", "p2", ""]


def test_some_of_the_rows_have_their_cells_in_their_order(read):
    rows = read("img_name,target,n\na.jpg,0,1\nb.jpg,1,2\nc.jpg,1,03\n")
    assert rows.take(np.array([2, 0])).column("n").tolist() == ["03", "1"]
    assert rows.take(np.array([True, False, True])).take(slice(1, None)).column("n").tolist() == ["03"]
    limited = rows.limit(2, 0)
    assert limited.column("n").tolist() == [
        {"a.jpg": "1", "b.jpg": "2", "c.jpg": "03"}[n] for n in limited.names
    ]


def test_nothing_is_read_before_it_is_asked_for(read, monkeypatch):
    asked, cells = [], columns.read_cells
    monkeypatch.setattr(columns, "read_cells", lambda *given: (asked.append(given[-1]), cells(*given))[1])
    rows = read("img_name,target,n\na.jpg,0,1\n")
    assert asked == []
    rows.column("n")
    assert asked == [[2]]


def test_of_columns_with_one_name_the_first_counts(read):
    assert read("img_name,n,target,n\na.jpg,1,0,2\n").column("n").tolist() == ["1"]


def test_a_column_that_is_not_there(read):
    rows = read("img_name,target,person,method\na.jpg,0,p1,x\n")
    with pytest.raises(DataError, match=r"labels\.csv: no column 'persno', did you mean 'person'\?$"):
        rows.column("persno")
    with pytest.raises(DataError, match=r"no column 'zzz'; allowed: method, person$"):
        rows.column("zzz")


def test_images_without_further_columns_say_so(read):
    message = "no column 'n': these images have only names and labels"
    for rows in (read("img_name,target\na.jpg,0\n"), Manifest("/x", np.array(["a"], object))):
        assert rows.columns is None
        with pytest.raises(DataError, match=message):
            rows.column("n")


def test_a_file_that_has_become_shorter(read, tmp_path):
    rows = read("img_name,target,n\na.jpg,0,1\nb.jpg,1,2\n")
    Path(tmp_path / "labels.csv").write_text("img_name,target,n\na.jpg,0,1\n")
    with pytest.raises(DataError, match="has fewer lines than before"):
        rows.column("n")

"""The tables of a prediction, CSV above all."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from predictors import scored

from fastffdi.errors import SettingError
from fastffdi.evaluation import metrics
from fastffdi.inference import table
from fastffdi.inference.table import write_table

pytestmark = pytest.mark.usefixtures("one_thread")


def column(*names):
    return np.array(names, object)


def test_the_csv_has_names_and_scores_in_order(tmp_path):
    write_table(tmp_path / "out.csv", column("b.jpg", "a/c.jpg", "b.jpg"), np.array([0.25, 1.0, 0.0]))
    assert (tmp_path / "out.csv").read_bytes() == b"img_name,y_pred\nb.jpg,0.25\na/c.jpg,1\nb.jpg,0\n"


def test_names_come_back_as_they_were(tmp_path):
    names = column("a,b.jpg", 'say "x".jpg', " padded ", "日本.jpg", "NA", "1e5")
    write_table(tmp_path / "out.csv", names, np.zeros(len(names)))
    table = pd.read_csv(tmp_path / "out.csv", dtype=str, na_filter=False)
    assert table["img_name"].tolist() == names.tolist()


def test_a_name_that_is_not_utf8_leaves_as_the_bytes_it_was(tmp_path):
    write_table(tmp_path / "out.csv", column(os.fsdecode(b"caf\xe9.jpg")), np.zeros(1))
    assert b"\ncaf\xe9.jpg,0\n" in (tmp_path / "out.csv").read_bytes()


def test_the_csv_tells_apart_what_the_model_does(tmp_path):
    one = np.float32(0.999999)
    scores = np.array([one, np.nextafter(one, np.float32(1)), 1e-9], np.float64)
    write_table(tmp_path / "out.csv", column("a", "b", "c"), scores)
    assert (tmp_path / "out.csv").read_text().splitlines()[-1] == "c,1e-09"
    written = pd.read_csv(tmp_path / "out.csv")["y_pred"].to_numpy()
    assert (written.astype(np.float32) == scores.astype(np.float32)).all()


def test_a_file_that_cannot_be_finished_is_not_begun(tmp_path):
    with pytest.raises(ValueError, match="same length"):
        write_table(tmp_path / "out.csv", column("a", "b"), np.zeros(3))
    assert list(tmp_path.iterdir()) == []


def test_a_csv_that_is_cut_short_leaves_the_old_one(tmp_path, monkeypatch):
    def full(part, columns, *how):
        part.write_text("half")
        raise OSError("no space left")

    (tmp_path / "out.csv").write_text("old")
    monkeypatch.setattr("fastffdi.inference.csv_table.write", full)
    with pytest.raises(OSError, match="no space"):
        write_table(tmp_path / "out.csv", column("a"), np.zeros(1))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_auc_of_the_csv_is_the_one_reported(tiny_run, best, val, tmp_path):
    write_table(tmp_path / "out.csv", val.names, scored(best, val))
    written = pd.read_csv(tmp_path / "out.csv")["y_pred"].to_numpy()
    assert metrics.auc(val.labels, written) == tiny_run.best.validation["auc"]


def test_an_excel_safe_csv_has_harmless_names_and_numbers_as_they_are(tmp_path):
    names, scores = (
        column("a.jpg", "=1+1.jpg", '-"x",y;=2', "\udcff.jpg"),
        np.array([0.25, np.nan, 1e-12, 1 / 3]),
    )
    write_table(tmp_path / "out.csv", names, scores, "-1", excel_safe=True)
    assert (tmp_path / "out.csv").read_bytes() == (
        b'img_name,y_pred\n"a.jpg",0.25\n"\'=1+1.jpg",-1\n"\'-""x"",y;=2",1e-12\n"\xff.jpg",0.333333333\n'
    )
    write_table(tmp_path / "out.csv", names, scores, "=now()", excel_safe=True)
    assert b'"\'=1+1.jpg","\'=now()"\n' in (tmp_path / "out.csv").read_bytes()


def test_excel_safe_errors_have_harmless_names_and_reasons(tmp_path):
    reasons = {"@a.jpg": "-broken", "b.jpg": "cut, off"}
    table.write_errors(tmp_path / "errors.csv", reasons, excel_safe=True)
    assert (tmp_path / "errors.csv").read_text() == (
        'img_name,reason\n"\'@a.jpg","\'-broken"\n"b.jpg","cut, off"\n'
    )


def test_names_are_as_given_unless_excel_safe_is_asked_for(tmp_path):
    write_table(tmp_path / "out.csv", column("=1+1.jpg"), np.array([0.5]))
    assert (tmp_path / "out.csv").read_text() == "img_name,y_pred\n=1+1.jpg,0.5\n"


FURTHER = {"decision": column("real", "a, b"), "spread": np.array([0.125, np.nan]), "views": np.array([3, 5])}


def test_further_columns_come_last_words_and_numbers(tmp_path):
    write_table(tmp_path / "out.csv", column("a", "b"), np.array([np.nan, 1]), "-1", further=FURTHER)
    assert (tmp_path / "out.csv").read_text() == (
        'img_name,y_pred,decision,spread,views\na,-1,real,0.125,3\nb,1,"a, b",,5\n'
    )


def test_a_name_with_a_carriage_return_is_one_cell(tmp_path):
    names = column("a\rb", "a\nb", "a\r\nb")
    write_table(tmp_path / "out.csv", names, np.zeros(3))
    table = pd.read_csv(tmp_path / "out.csv", dtype=str)
    assert table["img_name"].tolist() == names.tolist()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.csv", "CSV"), ("a.CSV", "CSV"), ("a", "CSV"), ("a.txt", "CSV"), ("a.jsonl", "JSON lines")],
)
def test_the_end_of_the_name_says_the_format(name, kind):
    assert table.format_of(Path(name)) == kind


def test_another_end_is_refused():
    with pytest.raises(
        SettingError, match=r"^--output a.json: no format ends in .json, did you mean '.jsonl'"
    ):
        table.format_of(Path("a.json"))
    with pytest.raises(SettingError, match=r"no format ends in .xlsx; allowed: .csv, .jsonl, .parquet$"):
        table.format_of(Path("a.xlsx"))


@pytest.mark.parametrize("fill", ["none", "nan", "inf"])
def test_only_csv_takes_any_word_for_a_score_and_words_made_safe(fill):
    with pytest.raises(
        SettingError, match=f"^--fill {fill}: a.jsonl has numbers only; give one, or leave it"
    ):
        table.check_format(Path("a.jsonl"), fill)
    with pytest.raises(
        SettingError, match=r"^--excel-safe: is for CSV, and a.jsonl will be JSON lines; leave"
    ):
        table.check_format(Path("a.jsonl"), excel_safe=True)
    table.check_format(Path("a.csv"), fill, excel_safe=True)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_is_known_in_its_own_format(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    file = tmp_path / f"a{suffix}"
    write_table(file, column("a", "b"), np.array([0.5, np.nan]))
    assert table.is_table(file)
    for other in (b"name,score\n", b'{"name": 1}\n', b"PAR1", b"[1]\n", b"{", b"\xff\xd8"):
        file.write_bytes(other)
        assert not table.is_table(file)
    file.write_bytes(b"")
    assert table.is_table(file)
    assert not table.is_table(tmp_path / f"absent{suffix}")


def test_skipped_images_have_a_table_of_their_own(tmp_path):
    table.write_errors(tmp_path / "errors.csv", {os.fsdecode(b"\xe9,.jpg"): "cut\noff"})
    assert (tmp_path / "errors.csv").read_bytes() == b'img_name,reason\n"\xe9,.jpg","cut\noff"\n'
    table.write_errors(tmp_path / "errors.csv", {})
    assert not (tmp_path / "errors.csv").exists()

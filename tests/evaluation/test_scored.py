import numpy as np
import pytest

from fastffdi.errors import DataError
from fastffdi.evaluation.scored import Scored, read_scores


@pytest.fixture
def write(tmp_path):
    def write(*lines):
        (tmp_path / "s.csv").write_text("\n".join(lines) + "\n")
        return tmp_path / "s.csv"

    return write


def test_names_labels_scores_and_further_columns_are_read(write):
    file = write("source,img_name,target,y_pred", "cam,a.jpg,0,0.25", "gan,NA,fake,1e-3", "gan,b.jpg,1.0,1")
    scored = read_scores(file)
    assert scored.names.tolist() == ["a.jpg", "NA", "b.jpg"]
    assert scored.labels.tolist() == [0, 1, 1]
    assert scored.scores.tolist() == [0.25, 0.001, 1.0]
    assert scored.column("source").tolist() == ["cam", "gan", "gan"]


def test_images_without_a_score_are_left_out_and_counted(write):
    scored = read_scores(write("img_name,target,y_pred,s", "a,0,0.5,x", "b,1,,y", "c,1,0.75,z"))
    assert (scored.names.tolist(), scored.left_out) == (["a", "c"], 1)
    assert scored.columns["s"].tolist() == ["x", "z"]
    assert scored.take(np.array([False, True])).names.tolist() == ["c"]


def test_names_that_are_not_utf8_are_read(tmp_path):
    file = tmp_path / "s.csv"
    file.write_bytes(b"img_name,target,y_pred\n\xff.jpg,0,0.5\n")
    assert read_scores(file).names.tolist() == ["\udcff.jpg"]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["img_name,y_pred", "a,0.5"], "no column target; it has 'img_name', 'y_pred'"),
        (["img_name,target,y_pred"], "lists no images; write a line for each"),
        (["img_name,target,y_pred", "a,0,0.5", "b,2,0.5"], "line 3: target '2' is not 0 (real) or 1 (fake)"),
        (["img_name,target,y_pred", "a,0,nan"], "line 2: y_pred 'nan' is not P(fake), from 0 to 1; empty"),
        (["img_name,target,y_pred", "a,0,1.5"], "line 2: y_pred '1.5' is not P(fake), from 0 to 1; give pro"),
        (["img_name,target,y_pred", "a,0,-inf"], "line 2: y_pred '-inf' is not P(fake), from 0 to 1; give"),
        (["img_name,target,y_pred", "a,0,"], "none of 1 images has a score"),
    ],
)
def test_what_is_no_table_of_scores_is_refused_in_one_line(write, lines, problem):
    with pytest.raises(DataError) as error:
        read_scores(write(*lines))
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_no_csv_is_refused(tmp_path, write):
    with pytest.raises(DataError, match="cannot be read"):
        read_scores(tmp_path / "none.csv")
    with pytest.raises(DataError, match="not CSV"):
        read_scores(write(""))


def test_a_column_that_is_not_there_is_refused_with_those_that_are():
    scored = Scored(np.array(["a"], object), np.array([0]), np.array([0.5]), {"source": np.array(["x"])})
    with pytest.raises(DataError, match=r"--by sorce: no such column.*source"):
        scored.column("sorce")

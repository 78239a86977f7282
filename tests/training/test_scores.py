import numpy as np
import pytest

from fastffdi.data.manifest import Manifest
from fastffdi.errors import RunError
from fastffdi.training.folder import SCORES
from fastffdi.training.scores import Scores

NAMES = np.array(["a.jpg", 'odd, "name"\nwith a break.png', "bytes-\udcff.jpg", "d.jpg"], object)
IMAGES = Manifest("/images", NAMES, np.array([0, 1, 1, 0]))


def test_what_is_saved_is_read_to_the_bit_and_skipped_images_are_left_out(tmp_path):
    scores = np.array([1 / 3, 0.1, np.nan, 1e-9], np.float32).astype(np.float64)
    Scores.of(IMAGES, scores).save(tmp_path)
    found = Scores.read(tmp_path)
    assert found.names == [NAMES[0], NAMES[1], NAMES[3]]
    assert found.labels.tolist() == [0, 1, 0]
    assert found.scores.astype(np.float32).tolist() == scores[[0, 1, 3]].tolist()


def test_the_table_is_as_predicts_with_the_label(tmp_path):
    Scores.of(IMAGES, np.array([0.25, np.nan, 0.5, np.nan])).save(tmp_path)
    assert (tmp_path / SCORES).read_bytes() == (
        b"img_name,target,y_pred\r\na.jpg,0,0.25\r\nbytes-\xff.jpg,1,0.5\r\n"
    )


def test_no_file_is_none_and_no_rows_are_no_scores(tmp_path):
    assert Scores.read(tmp_path) is None
    Scores.of(IMAGES, np.full(4, np.nan)).save(tmp_path)
    assert Scores.read(tmp_path).names == []


@pytest.mark.parametrize("text", ["", "img_name,y_pred\na,0.5\n", "img_name,target,y_pred\na,1\n"])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / SCORES).write_text(text)
    with pytest.raises(RunError, match=r"val_scores.csv: is no table of img_name,target,y_pred \(.*delete"):
        Scores.read(tmp_path)

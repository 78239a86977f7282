import numpy as np
import pytest

from fastffdi.data.manifest import Manifest
from fastffdi.errors import DataError
from fastffdi.training import scores
from fastffdi.training.folder import SCORES

NAMES = np.array(["a.jpg", 'odd, "name"\nwith a break.png', "bytes-\udcff.jpg", "d.jpg"], object)
IMAGES = Manifest("/images", NAMES, np.array([0, 1, 1, 0]))


def test_what_is_saved_is_read_to_the_bit_and_skipped_images_are_left_out(tmp_path):
    given = np.array([1 / 3, 0.1, np.nan, 1e-9], np.float32).astype(np.float64)
    scores.save(tmp_path, IMAGES, given)
    found = scores.read(tmp_path)
    assert found.names.tolist() == [NAMES[0], NAMES[1], NAMES[3]]
    assert found.labels.tolist() == [0, 1, 0]
    assert found.scores.astype(np.float32).tolist() == given[[0, 1, 3]].tolist()


def test_the_table_is_as_predicts_with_the_label(tmp_path):
    scores.save(tmp_path, IMAGES, np.array([0.25, np.nan, 0.5, np.nan]))
    assert (tmp_path / SCORES).read_bytes() == (
        b"img_name,target,y_pred\r\na.jpg,0,0.25\r\nbytes-\xff.jpg,1,0.5\r\n"
    )


def test_no_file_is_none_and_another_one_is_refused(tmp_path):
    assert scores.read(tmp_path) is None
    (tmp_path / SCORES).write_text("img_name,y_pred\na,0.5\n")
    with pytest.raises(DataError, match=r"val_scores.csv: no column target"):
        scores.read(tmp_path)

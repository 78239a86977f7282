import os

import pytest

from fastffdi.cli.output import check_no_image, check_output
from fastffdi.errors import SettingError


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"img_name,y_pred\n",
        b"img_name,y_pred\r\na.jpg,1\r\n",
        b'\xef\xbb\xbf"img_name","y_pred"\n',
        b"img_name,y_pred,note\na.jpg,1,",
    ],
)
def test_a_table_of_predict_is_written_over(tmp_path, head):
    (tmp_path / "a.csv").write_bytes(head)
    check_output(tmp_path / "a.csv", [], overwrite=False)


@pytest.mark.parametrize(
    "head", [b"\n", b"img_name,target\n", b"y_pred,img_name\n", b"\xff\xd8\xff", b"img_name"]
)
def test_anything_else_is_kept_unless_asked(tmp_path, head):
    (tmp_path / "a.csv").write_bytes(head)
    with pytest.raises(
        SettingError, match=r"holds no img_name,y_pred table; name another file, or add --over"
    ):
        check_output(tmp_path / "a.csv", [], overwrite=False)
    check_output(tmp_path / "a.csv", [], overwrite=True)


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_an_input_is_known_by_any_name(tmp_path, link):
    (tmp_path / "a").touch()
    link(tmp_path / "a", tmp_path / "b")
    for output, path in (("a", "b"), ("b", "a"), ("a", "a")):
        with pytest.raises(SettingError, match=r"is the model; name another file to write$"):
            check_output(tmp_path / output, [("the model", tmp_path / path)], overwrite=True)
    check_output(tmp_path / "a", [("the model", None), ("the list", tmp_path / "absent")], overwrite=True)


def test_an_image_below_a_folder_is_an_input(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jpg").touch()
    listed = [str(tmp_path / "absent.jpg"), str(tmp_path / "sub" / "a.jpg")]
    check_no_image(tmp_path / "a.jpg", listed)
    check_no_image(tmp_path / "absent.jpg", listed)
    with pytest.raises(SettingError, match=r"is one of the images; name another file to write$"):
        check_no_image(tmp_path / "sub" / ".." / "sub" / "a.jpg", listed)

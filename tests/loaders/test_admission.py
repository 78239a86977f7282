from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastffdi.data.limits import Limits
from fastffdi.loaders import admission as module
from fastffdi.loaders.admission import Admission
from fastffdi.render.cpu.decode import SourceDecoder


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """A JPEG of 8×10 pixels, one of 20×10, a GIF and a text."""
    made = [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")]
    Image.new("RGB", (10, 8)).save(made[0])
    Image.new("RGB", (10, 20)).save(made[1])
    Image.new("RGB", (4, 4)).save(made[2], "GIF")
    Path(made[3]).write_text("no image")
    return made


ROWS = np.arange(4)


def test_images_are_sorted_by_what_their_headers_say(paths: list[str]) -> None:
    corrupt, foreign = Admission(SourceDecoder(limits=Limits(pixels=100)), 4).refused(ROWS, paths)
    assert foreign == [2]
    assert [(place, error.path) for place, error in corrupt] == [(1, paths[1]), (3, paths[3])]
    assert "10×20 are 0.0002 megapixels, the limit is 0.0001" in corrupt[0].error.reason


def test_places_are_those_in_the_rows_asked_for(paths: list[str]) -> None:
    corrupt, foreign = Admission(SourceDecoder(), 4).refused(np.array([3, 2]), [paths[3], paths[2]])
    assert ([place for place, _ in corrupt], foreign) == ([0], [1])


def test_a_file_is_read_again_only_when_it_has_changed(
    paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = module.checked_header
    monkeypatch.setattr(module, "checked_header", lambda path, *rest: read.append(path) or real(path, *rest))
    admission = Admission(SourceDecoder(), 4)
    admission.refused(ROWS[:2], paths[:2])
    assert (admission.refused(ROWS[:2], paths[:2]), read) == (([], []), paths[:2])
    Path(paths[0]).write_text("no longer an image")
    corrupt, _ = admission.refused(ROWS[:2], paths[:2])
    assert ([place for place, _ in corrupt], read[2:]) == ([0], paths[:1])


def test_what_is_not_whole_is_left_to_pillow(paths: list[str]) -> None:
    whole = Path(paths[0]).read_bytes()
    Path(paths[0]).write_bytes(whole[:-2])
    assert Admission(SourceDecoder(), 4, 3).refused(ROWS[:3], paths[:3]) == ([], [0, 2])


def test_threads_share_the_files(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{k}.png") for k in range(11)]
    for k, path in enumerate(paths):
        Image.new("RGB", (4, 4)).save(path, "PNG" if k % 3 else "GIF")
    Path(paths[7]).unlink()
    corrupt, foreign = Admission(SourceDecoder(), 11, 4).refused(np.arange(11), paths)
    assert foreign == [0, 3, 6, 9]
    assert [(place, error.path) for place, error in corrupt] == [(7, paths[7])]

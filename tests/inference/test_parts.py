"""Scores that are kept while more are made."""

import json

import numpy as np
import pytest

from fastffdi.errors import SettingError
from fastffdi.inference.parts import Parts

KEY = {"--batch-size": 8, "images": "16 images (abc)", "--compile": False}


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out.csv"


def opened(output, resume=True, key=KEY, say=lambda line: None):
    parts = Parts(output, key)
    parts.open(resume, say)
    return parts


def filled(output):
    parts = opened(output)
    parts.add(np.array([0, 1]), np.array([0.25, np.nan]), {"b.jpg": "cut\noff"})
    parts.add(np.array([2, 3]), np.array([1 / 3, 1e-9]), {})
    return parts


def known(parts):
    return parts.known.rows.tolist(), parts.known.scores.tolist(), parts.known.reasons


def test_what_was_kept_is_known_exactly(output):
    filled(output)
    said: list[str] = []
    parts = opened(output, say=said.append)
    assert known(parts) == ([0, 1, 2, 3], pytest.approx([0.25, np.nan, 1 / 3, 1e-9], abs=0, nan_ok=True), {
        "b.jpg": "cut\noff"
    })  # fmt: skip
    assert said == [f"{output}.parts: goes on from the scores of 4 images"]
    parts.add(np.array([4]), np.array([0.5]), {})
    assert opened(output).known.rows.tolist() == [0, 1, 2, 3, 4]


def test_nothing_is_made_before_there_is_something_to_keep(output):
    parts = opened(output)
    assert known(parts) == ([], [], {})
    assert list(output.parent.iterdir()) == []
    assert not parts.kept()
    parts.remove()


def test_a_torn_file_is_as_good_as_none(output):
    parts = filled(output)
    first, second = sorted(parts.folder.glob("*.scores"))
    second.write_bytes(second.read_bytes()[:-1])
    assert opened(output).known.rows.tolist() == [0, 1]
    data = bytearray(first.read_bytes())
    data[-30] ^= 1
    first.write_bytes(data)
    second.write_bytes(b"")
    assert opened(output).known.rows.tolist() == []


def test_without_resume_what_was_kept_is_dropped_and_said(output):
    folder, said = filled(output).folder, []
    parts = opened(output, resume=False, say=said.append)
    assert said == [
        f"{folder}: the scores of 4 images by an interrupted run are dropped; --resume would have gone on"
    ]
    assert known(parts) == ([], [], {})
    assert not folder.exists()


def test_scores_of_other_settings_are_refused_and_kept(output):
    folder = filled(output).folder
    with pytest.raises(SettingError) as error:
        opened(output, key=KEY | {"--batch-size": 4, "--compile": True})
    assert str(error.value) == (
        f"--resume: {folder} holds scores of another prediction: --batch-size 8, now 4; --compile False, now "
        "True; give the command that was interrupted, or leave out --resume to begin again"
    )
    assert opened(output).known.rows.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("content", [b"{", b"[]", None])
@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_of_something_else_stays_as_it_is(output, content, resume):
    folder = output.with_name("out.csv.parts")
    folder.mkdir()
    (folder / ("key.json" if content else "mine.txt")).write_bytes(content or b"")
    with pytest.raises(
        SettingError, match=r"^--output .*out.csv: predict keeps scores in .* meanwhile, which holds"
    ):
        opened(output, resume)
    assert len([*folder.iterdir()]) == 1


def test_what_was_half_written_when_a_process_ended_goes_too(output):
    parts = filled(output)
    for place, name in ((parts.folder, "0000-000002.scores"), (output.parent, output.name)):
        begun = place / f".{name}.abcd.part"
        begun.mkdir()
        (begun / name).write_bytes(b"half")
    opened(output).remove()
    assert list(output.parent.iterdir()) == []


def test_a_process_that_ended_before_its_first_scores_leaves_nothing_to_resume(output):
    (folder := output.with_name("out.csv.parts")).mkdir()
    (folder / ".key.json.abcd.part").mkdir()
    assert known(opened(output)) == ([], [], {})


def test_files_of_others_are_not_removed(output):
    parts = filled(output)
    (parts.folder / "mine.txt").touch()
    parts.remove()
    assert [path.name for path in parts.folder.iterdir()] == ["mine.txt"]


def test_the_key_can_be_read(output):
    assert json.loads((filled(output).folder / "key.json").read_text()) == KEY

"""benchmarks/same_pixels.py compares arrays bit for bit; what trees make of images is not compared here."""

import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "same_pixels.py"
REFUSED = np.array("refused")

Report = Callable[[dict[str, np.ndarray], dict[str, np.ndarray]], tuple[int, list[str]]]


@pytest.fixture(scope="module")
def script() -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)  # as when the script is run
        yield runpy.run_path(str(SCRIPT))


@pytest.fixture
def report(script: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> Report:
    """report(before, after): the exit code and the lines."""

    def reported(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> tuple[int, list[str]]:
        code = script["report"](before, after, "abc123")
        return code, capsys.readouterr().out.splitlines()

    return reported


def arrays() -> dict[str, np.ndarray]:
    return {
        "images": np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3),
        "scores": np.array([0.25, np.nan, 0.0]),
        "dali": REFUSED,
        "empty": np.zeros((0, 2), np.int64),
    }


def test_equal_arrays_are_the_same_nan_and_refusals_among_them(report: Report):
    assert report(arrays(), arrays()) == (0, ["same: 4 arrays, 28 values, abc123 against the present tree"])


def test_each_array_that_differs_has_a_line(report: Report):
    after = arrays()
    after["images"][1, 0, 1, 2] += 3
    after["images"][0, 0, 0, 0] += 1
    after["scores"][0] = 0.5
    assert report(arrays(), after) == (
        1,
        [
            "images: 2 of 24 values differ, by at most 3",
            "scores: 1 of 3 values differ, by at most nan",
            "different: 2 of 4 arrays",
        ],
    )


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (np.uint8([255]), np.uint8([0]), "1 of 1 values differ, by at most 255"),
        (np.float32([1, 0]), np.float32([1, -0.0]), "1 of 2 values differ, by at most 0"),
        (np.array([True, False]), np.array([True, True]), "1 of 2 values differ, by at most 1"),
        (np.int64([1]), np.int32([1]), "int64 (1,) in the commit, int32 (1,) now"),
        (np.zeros(4), np.zeros((2, 2)), "float64 (4,) in the commit, float64 (2, 2) now"),
        (np.uint8([7]), None, "uint8 (1,) in the commit, absent now"),
        (None, np.uint8([7]), "absent in the commit, uint8 (1,) now"),
        (REFUSED, np.uint8([7]), "refused in the commit, uint8 (1,) now"),
        (REFUSED, None, "refused in the commit, absent now"),
    ],
)
def test_what_differs_is_told(report: Report, before: np.ndarray | None, after: np.ndarray | None, line: str):
    dicts = ({} if array is None else {"x": array} for array in (before, after))
    assert report(*dicts) == (1, [f"x: {line}", "different: 1 of 1 arrays"])


def test_images_of_every_kind_are_among_the_first(script: dict[str, Any], tmp_path: Path):
    script["write_images"](tmp_path / "images")
    files = sorted((tmp_path / "images").iterdir())
    assert len(files) == 44
    with ExitStack() as stack:
        first = [stack.enter_context(Image.open(file)) for file in files[:24]]
        kinds = {(image.format, image.mode) for image in first}
        orientations = {image.getexif().get(0x0112, 1) for image in first}
        sides = [side for image in first for side in image.size]
    assert kinds == {("PNG", "RGB"), ("JPEG", "RGB"), ("JPEG", "L")}
    assert orientations == set(range(1, 9))
    assert min(sides) >= 300


def test_an_unknown_commit_is_refused_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["same_pixels.py", "no-such-commit"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "same_pixels.py: no-such-commit: no such commit; `git log` names them\n"
    )

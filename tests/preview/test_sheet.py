import numpy as np
import pytest

from fastffdi.preview.sheet import LARGEST, WIDEST_TITLE, Cell, Row, Section, printable, sheet, shortened


def plain(height: int, width: int, *colour: int) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def extent(paper: np.ndarray, *colour: int) -> tuple[int, int]:
    """Height and width of the part of exactly that colour."""
    rows, columns = np.nonzero((paper == colour).all(axis=2))
    return rows.max() - rows.min() + 1, columns.max() - columns.min() + 1


def one(*images: np.ndarray, title: str = "a.jpg", caption: str = "") -> np.ndarray:
    cells = [Cell(image, caption) for image in images]
    section = Section("heading", [f"column {k}" for k in range(len(images))], [Row(title, "real", cells)])
    return np.asarray(sheet("title", "remark", [section]))


def test_images_stand_at_real_size_up_to_a_limit():
    paper = one(plain(90, 120, 200, 10, 10), plain(600, 300, 10, 10, 200))
    assert extent(paper, 200, 10, 10) == (90, 120)
    assert extent(paper, 10, 10, 200) == (LARGEST, LARGEST // 2)


def test_rows_and_columns_are_in_their_order():
    rows = [Row(f"{k}", "", [Cell(plain(20, 30, 50 * k, 7, column)) for column in (1, 2)]) for k in (1, 2)]
    paper = np.asarray(sheet("title", "remark", [Section("heading", ["a", "b"], rows)]))
    tops = {
        key: np.argwhere((paper == key).all(axis=2)).min(axis=0)
        for key in [(50, 7, 1), (50, 7, 2), (100, 7, 1)]
    }
    assert tops[50, 7, 1][0] == tops[50, 7, 2][0] < tops[100, 7, 1][0]
    assert tops[50, 7, 1][1] == tops[100, 7, 1][1] < tops[50, 7, 2][1]


def test_columns_of_all_sections_begin_in_one_place():
    sections = [
        Section("one", ["a"], [Row("a long name.jpg", "fake", [Cell(plain(20, 99, 1, 2, 3))])]),
        Section("two", ["a"], [Row("x", "", [Cell(plain(20, 99, 4, 5, 6))])]),
    ]
    paper = np.asarray(sheet("title", "remark", sections))
    places = [np.argwhere((paper == colour).all(axis=2)).min(axis=0)[1] for colour in ((1, 2, 3), (4, 5, 6))]
    assert places[0] == places[1]


@pytest.mark.parametrize("title", ["x", "long " * 40, "ü" * 80])
def test_nothing_is_drawn_at_the_edge(title: str):
    paper = one(plain(10, 10, 0, 0, 0), title=title, caption="0.62 real + 0.38 fake, and some more of it")
    border = np.concatenate(
        [paper[:8].ravel(), paper[-8:].ravel(), paper[:, :8].ravel(), paper[:, -8:].ravel()]
    )
    assert (border == 255).all()


def test_long_names_lose_their_middle():
    name = "0123456789abcdef" * 4 + ".jpg"
    short = shortened(name, WIDEST_TITLE)
    assert (short[:7], short[-5:]) == ("0123456", "f.jpg")
    assert "…" in short
    assert shortened("a.jpg", WIDEST_TITLE) == "a.jpg"


def test_letters_that_the_font_lacks_are_marked():
    assert printable("añ→b.jpg") == "a??b.jpg"

import numpy as np
import pytest

from fastffdi.report import charts
from fastffdi.report.charts import BOTTOM, LEFT, RIGHT, TOP, Chart


@pytest.fixture
def chart():
    return Chart("t", "c", charts.unit("x"), charts.unit("y"))


def test_a_line_fills_the_plotting_area_and_does_not_leave_it(chart):
    chart.line("s0", [0, 1, 2], [0, 1, -5])
    (mark,) = chart.marks
    assert mark.style == "line s0"
    assert mark.path == f"M{LEFT}.0,{BOTTOM}.0 {RIGHT}.0,{TOP}.0 {RIGHT}.0,{BOTTOM}.0"


def test_bars_stand_on_the_axis(chart):
    chart.bars("real", np.array([0, 0.5, 1]), np.array([0.5, 1]))
    points = [tuple(map(float, at.split(","))) for at in chart.marks[0].path[1:-1].split()]
    middle, half = (LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2
    assert points == [
        (LEFT, BOTTOM),
        (LEFT, half),
        (middle, half),
        (middle, TOP),
        (RIGHT, TOP),
        (RIGHT, BOTTOM),
    ]


def test_a_band_goes_there_and_back(chart):
    chart.band("s1", np.array([0, 1]), np.array([0, 0]), np.array([1, 1]))
    assert chart.marks[0].path.split()[-1] == f"{LEFT}.0,{BOTTOM}.0Z"
    chart.whisker("s1", 0.5, 0, 1)
    chart.dot("s1", 0.5, 0.5, "3 images")
    assert (chart.marks[-1].path[-2:], chart.marks[-1].title) == ("h0", "3 images")


def test_decades_are_as_far_from_each_other_and_have_words():
    axis = charts.decades("rate", 1e-6)
    assert [word for _, word in axis.ticks] == ["1e-6", "1e-5", "0.0001", "0.001", "0.01", "0.1", "1"]
    assert axis.share([value for value, _ in axis.ticks]) == pytest.approx(np.arange(7) / 6)
    assert axis.share([0, 5]).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.61, 0.98], ["0.6", "0.7", "0.8", "0.9", "1"]),
        ([-0.03, 0.17], ["−0.05", "0", "0.05", "0.1", "0.15", "0.2"]),
        ([0.5], ["0.49", "0.495", "0.5", "0.505", "0.51"]),
        ([], ["−0.01", "−0.005", "0", "0.005", "0.01"]),
        ([-3.0, 90.0], ["−50", "0", "50", "100"]),
    ],
)
def test_ticks_are_round_numbers_around_the_values(values, words):
    axis = charts.around("y", values)
    assert [word for _, word in axis.ticks] == words
    assert all(axis.low <= value <= axis.high for value in values)


def test_ticks_of_a_chart_are_where_its_lines_are(chart):
    across, down = chart.ticks()
    assert across[0] == (LEFT, "0")
    assert across[-1] == (RIGHT, "1")
    assert down[-1] == (TOP, "1")

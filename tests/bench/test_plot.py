import re
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from fastffdi.bench import plot as module
from fastffdi.bench.plot import Panel, check, plot
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.errors import SettingError

PANEL = Panel(
    "jitter, 2 threads",
    {"torchvision": Quartiles(200, 190, 210), "cpu": Quartiles(1000, 900, 1100)},
    {"file read": 30_000.0, "JPEG decode": 1700.0},
)


@pytest.fixture
def axes() -> Axes:
    """The panel, drawn on a scale that ends at 2000 images/s."""
    axes = Figure().subplots()
    module._draw(axes, PANEL, 2000.0)
    return axes


def texts(tmp_path: Path, *panels: Panel, remarks=()) -> list[str]:
    """What is written in the page."""
    file = tmp_path / "chart.html"
    plot(file, "photos", panels, remarks)
    page = file.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>\n")
    return re.findall(r"<text[^>]*>([^<]*)</text>", page)


def test_bars_are_as_long_as_medians(axes: Axes):
    assert [bar.get_width() for bar in axes.patches] == [200, 1000]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["torchvision", "cpu"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first at the top


def test_whiskers_reach_from_quartile_to_quartile(axes: Axes):
    ends = [segment[:, 0].tolist() for lines in axes.collections for segment in lines.get_segments()]
    assert ends == [[190, 210], [900, 1100]]


def test_ceilings_are_lines_or_named_where_they_are_beyond_the_scale(axes: Axes):
    said = [text.get_text() for text in axes.texts]
    assert said == ["200", "1,000", "JPEG decode 1,700"]
    assert axes.get_title("right") == "beyond the scale: file read 30,000"


def test_the_scale_holds_every_bar_and_the_ceilings_near_them():
    assert module._scale([PANEL]) == pytest.approx(1.08 * 1700)
    slow = Panel("jitter, 1 thread", {"cpu": Quartiles(100, 90, 110)}, {"JPEG decode": 2800.0})
    assert module._scale([slow]) == pytest.approx(1.08 * 110)
    assert module._scale([slow, PANEL]) == pytest.approx(1.08 * 1700)


def test_a_page_has_titles_figures_and_remarks_escaped_and_wrapped(tmp_path: Path):
    said = texts(tmp_path, PANEL, remarks=["a < b & c " * 20])
    assert {"photos", "jitter, 2 threads", "torchvision", "images/s", "1,000"} <= set(said)
    lines = [line for line in said if "a &lt; b" in line]
    assert len(lines) > 1
    assert " ".join(lines) == "a &lt; b &amp; c " * 19 + "a &lt; b &amp; c"


def test_without_a_figure_there_is_still_a_page(tmp_path: Path):
    assert {"photos", "nothing"} <= set(texts(tmp_path, Panel("nothing", {}, {})))


def test_a_png_shows_the_bars_in_their_colours(tmp_path: Path):
    plot(tmp_path / "chart.PNG", "photos × 2", [PANEL], ["– done"])
    with Image.open(tmp_path / "chart.PNG") as image:
        assert image.format == "PNG"
        levels = np.asarray(image.convert("RGB"))
    lengths = [
        (levels == np.array(colour, np.uint8)).all(-1).sum(1).max()
        for colour in ((154, 165, 177), (47, 111, 178))
    ]
    assert lengths[1] / lengths[0] == pytest.approx(5, abs=0.2)


def test_a_file_that_cannot_be_is_refused_beforehand(tmp_path: Path):
    check(tmp_path / "a.html")
    with pytest.raises(SettingError, match=r"a\.svg: is neither \.png nor \.html; name a file that ends so"):
        check(tmp_path / "a.svg")
    with pytest.raises(SettingError, match="the folder does not exist; make it first"):
        check(tmp_path / "absent" / "a.png")


def test_without_matplotlib_the_error_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SettingError, match=r"matplotlib is not installed; pip install 'fastffdi\[plot\]'"):
        check(tmp_path / "a.png")


def test_names_in_a_page_are_text(tmp_path: Path):
    name = "<script>alert(1)</script>&\x1b\u202e\udcff"
    file = tmp_path / "chart.html"
    plot(file, name, [PANEL], [f"data: {name}"])
    page = file.read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;&amp;\\x1b\\u202e\\xff") == 3

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
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


def drawn(tmp_path: Path, *panels: Panel, remarks=()) -> ElementTree.Element:
    file = tmp_path / "chart.html"
    plot(file, "photos", panels, remarks)
    page = file.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>\n")
    return ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", page[page.index("<svg") :]))


def texts(svg: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in svg.iter("text")]


@pytest.fixture
def axes():
    found = Figure().subplots()
    module._draw(found, PANEL, 2000.0)
    return found


def test_bars_are_as_long_as_medians(axes):
    assert [bar.get_width() for bar in axes.patches] == [200, 1000]
    assert [label.get_text() for label in axes.texts][:2] == ["200", "1,000"]


def test_whiskers_reach_from_quartile_to_quartile(axes):
    ends = [segment[:, 0].tolist() for lines in axes.collections for segment in lines.get_segments()]
    assert ends == [[190, 210], [900, 1100]]


def test_ceilings_are_lines_or_named_where_they_are_beyond_the_scale(axes, tmp_path: Path):
    assert [line.get_xdata() for line in axes.lines if line.get_color() == module._CEILING] == [[1700, 1700]]
    shown = texts(drawn(tmp_path, PANEL))
    assert "JPEG decode 1,700" in shown
    assert "beyond the scale: file read 30,000" in shown
    assert {"0", "500", "1,000", "1,500", "images/s"} <= set(shown)


def test_panels_share_one_scale():
    half = Panel("jitter, 1 thread", {"cpu": Quartiles(100, 90, 110)}, {"JPEG decode": 900.0})
    assert module._scale([half]) == pytest.approx(1.08 * 110)
    assert module._scale([PANEL, half]) == pytest.approx(1.08 * 1700)


def test_a_ceiling_within_the_scale_of_another_panel_is_a_line(tmp_path: Path):
    slow = Panel("jitter, 1 thread", {"cpu": Quartiles(100, 90, 110)}, {"JPEG decode": 900.0})
    shown = texts(drawn(tmp_path, PANEL, slow))
    assert "JPEG decode 900" in shown
    assert sum("beyond" in text for text in shown) == 1


def test_text_is_escaped_wrapped_and_no_formula(tmp_path: Path):
    shown = texts(drawn(tmp_path, PANEL, remarks=["a < b & $c$ " * 20]))
    lines = [line for line in shown if "a < b" in line]
    assert " ".join(lines) == "a < b & $c$ " * 19 + "a < b & $c$"
    assert len(lines) == 2


def test_without_a_figure_there_is_still_a_page(tmp_path: Path):
    assert {"photos", "nothing"} <= set(texts(drawn(tmp_path, Panel("nothing", {}, {}))))


def test_a_png_shows_the_bars_in_their_colours_and_settings_are_restored(tmp_path: Path):
    before = matplotlib.rcParams["svg.fonttype"]
    plot(tmp_path / "chart.PNG", "photos × 2", [PANEL], ["– done"])
    assert matplotlib.rcParams["svg.fonttype"] == before
    with Image.open(tmp_path / "chart.PNG") as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    lengths = [
        (pixels == np.array(colour, np.uint8)).all(-1).sum(1).max()
        for colour in ((154, 165, 177), (47, 111, 178))
    ]
    assert lengths[1] / lengths[0] == pytest.approx(5, abs=0.2)


def test_a_file_that_cannot_be_drawn_is_refused_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    check(tmp_path / "a.html")
    with pytest.raises(SettingError, match=r"a\.svg: is neither \.png nor \.html; name a file that ends so"):
        check(tmp_path / "a.svg")
    with pytest.raises(SettingError, match="the folder does not exist; make it first"):
        check(tmp_path / "absent" / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SettingError, match=r"matplotlib is not installed; pip install 'fastffdi\[plot\]'"):
        check(tmp_path / "a.png")

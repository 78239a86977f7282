import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
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


def test_bars_are_as_long_as_medians(tmp_path: Path):
    first, second = (float(bar.get("width", 0)) for bar in drawn(tmp_path, PANEL).iter("rect"))
    assert second / first == pytest.approx(5, abs=0.01)


def test_whiskers_reach_from_quartile_to_quartile(tmp_path: Path):
    svg = drawn(tmp_path, PANEL)
    bar = list(svg.iter("rect"))[1]
    unit = float(bar.get("width", 0)) / 1000
    flat = [line for line in svg.iter("line") if line.get("y1") == line.get("y2")]
    low, high = (float(flat[1].get(end, 0)) - float(bar.get("x", 0)) for end in ("x1", "x2"))
    assert (low, high) == (pytest.approx(900 * unit, abs=0.1), pytest.approx(1100 * unit, abs=0.1))


def test_ceilings_are_lines_or_named_where_they_are_beyond_the_scale(tmp_path: Path):
    said = texts(drawn(tmp_path, PANEL))
    assert "JPEG decode 1,700" in said
    assert "beyond the scale: file read 30,000" in said
    assert {"0 images/s", "500", "1,000", "1,500"} <= set(said)


def test_panels_share_one_scale(tmp_path: Path):
    half = Panel("jitter, 1 thread", {"cpu": Quartiles(500, 490, 510)}, {})
    *_, two, one = (float(bar.get("width", 0)) for bar in drawn(tmp_path, PANEL, half).iter("rect"))
    assert two / one == pytest.approx(2, abs=0.01)


def test_a_ceiling_within_the_scale_of_another_panel_is_a_line(tmp_path: Path):
    slow = Panel("jitter, 1 thread", {"cpu": Quartiles(100, 90, 110)}, {"JPEG decode": 900.0})
    said = texts(drawn(tmp_path, PANEL, slow))
    assert "JPEG decode 900" in said
    assert sum("beyond" in text for text in said) == 1


def test_text_is_escaped_and_wrapped(tmp_path: Path):
    said = texts(drawn(tmp_path, PANEL, remarks=["a < b & c " * 20]))
    assert " ".join(line for line in said if "a < b" in line) == "a < b & c " * 19 + "a < b & c"


def test_without_a_figure_there_is_still_a_page(tmp_path: Path):
    assert texts(drawn(tmp_path, Panel("nothing", {}, {})))[:2] == ["photos", "nothing"]


def test_a_png_shows_the_bars_in_their_colours(tmp_path: Path):
    plot(tmp_path / "chart.PNG", "photos × 2", [PANEL], ["– done"])
    with Image.open(tmp_path / "chart.PNG") as image:
        assert image.format == "PNG"
        levels = np.asarray(image)
    lengths = [
        (levels == np.array(colour, np.uint8)).all(-1).sum(1).max()
        for colour in ((154, 165, 177), (47, 111, 178))
    ]
    assert lengths[1] / lengths[0] == pytest.approx(5, abs=0.2)
    assert levels.shape[1] == 2 * module._WIDTH


@pytest.mark.parametrize(("scale", "step"), [(6, 1), (7, 2), (1800, 500), (60_000, 10_000), (0.5, 1)])
def test_steps_of_the_axis_are_round(scale: float, step: float):
    assert module._step(scale) == step


def test_a_file_that_cannot_be_is_refused_beforehand(tmp_path: Path):
    check(tmp_path / "a.html")
    with pytest.raises(SettingError, match=r"a\.svg: is neither \.png nor \.html; name a file that ends so"):
        check(tmp_path / "a.svg")
    with pytest.raises(SettingError, match="the folder does not exist; make it first"):
        check(tmp_path / "absent" / "a.png")

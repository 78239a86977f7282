"""The page as Chromium shows it: one browser and one page, of all that a report can have, for all tests."""

import shutil
from importlib.resources import files

import numpy as np
import pytest
from reports import HOSTILE, everything, scored

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH (Debian: apt install chromium)")


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync.sync_playwright() as play:
        running = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory, paint):
    folder = tmp_path_factory.mktemp("report")
    path = folder / "report.html"
    path.write_text(everything(paint, folder), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def opened(browser, file):
    """The page, and what it said and asked for since it was opened."""
    page, heard = browser.new_page(viewport={"width": 1000, "height": 900}), []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url.partition(",")[0][:40]))
    page.goto(file.as_uri())
    return page, heard


@pytest.fixture
def page(opened):
    page = opened[0]
    page.emulate_media(media="screen", color_scheme="light")
    page.set_viewport_size({"width": 1000, "height": 900})
    return page


def test_it_asks_for_nothing_else_and_complains_of_nothing(opened, file):
    page, heard = opened
    images = page.locator("img").count()
    assert images == 48
    assert sorted(set(heard)) in ([file.as_uri()[:40]], ["data:image/jpeg;base64", file.as_uri()[:40]])
    assert page.evaluate("[...document.images].every(one => one.naturalWidth > 0)")


def test_no_name_is_run_or_becomes_markup(page):
    page.mouse.move(300, 80)
    assert page.evaluate("typeof window.ran") == "undefined"
    assert page.evaluate("[...document.scripts].map(one => one.type)") == ["application/json"] * 2 + [""]
    loose = "style:not(head style), [onload], [onerror], [onmouseover], img:not([src^='data:image/jpeg'])"
    assert page.locator(loose).count() == 0
    assert page.locator("a:not([href^='#'])").count() == 0
    text = page.locator("body").inner_text()
    assert all(name in text for name in HOSTILE[:3])
    assert "\\xff\\udc00.jpg" in text


def test_names_would_not_run_even_if_the_page_let_scripts_run(browser, file):
    page = browser.new_page(bypass_csp=True)
    page.goto(file.as_uri())
    assert page.evaluate("typeof window.ran") == "undefined"
    page.close()


def test_a_script_that_got_in_would_be_stopped(page):
    made = "Object.assign(document.createElement('script'), {textContent: 'window.got = 1'})"
    page.evaluate(f"document.body.append({made})")
    assert page.evaluate("typeof window.got") == "undefined"
    page.evaluate("document.body.lastChild.remove()")


@pytest.mark.parametrize(("press", "at"), [("Home", 0.0), ("End", 1.0), ("ArrowRight", 0.301)])
def test_the_slider_moves_the_matrix(page, press, at):
    slider = page.locator("input[type=range]").nth(1)
    slider.evaluate("one => { one.value = one.defaultValue; one.dispatchEvent(new Event('input')); }")
    assert page.locator(".matrix .at").nth(1).inner_text() == "0.3"
    slider.press(press)
    known = scored(shift=1.0)
    matrix = page.locator(".matrix").nth(1)
    shown = [matrix.locator(f"[data-cell={cell}]").inner_text() for cell in ("real-fake", "fake-fake")]
    assert float(matrix.locator(".at").inner_text()) == at
    assert slider.get_attribute("aria-valuetext") == f"{at:g}"
    called = known.scores >= at
    assert shown == [f"{(called & (known.labels == label)).sum():,}" for label in (0, 1)]
    right = np.mean(called == (known.labels == 1))
    assert matrix.locator("[data-rate=accuracy]").inner_text() == f"{right:.4f}"


def colours(page):
    """Brightness of the page and of its text, from 0 to 255."""
    found = page.evaluate(
        "['backgroundColor', 'color'].map(name => getComputedStyle(document.body)[name].match(/\\d+/g)[1])"
    )
    return [int(value) for value in found]


def test_it_is_dark_where_the_reader_wants_it_and_white_on_paper(page):
    paper, ink = colours(page)
    assert (paper, ink < 60) == (255, True)
    page.emulate_media(color_scheme="dark")
    paper, ink = colours(page)
    assert (paper < 60, ink > 200) == (True, True)
    page.emulate_media(media="print", color_scheme="dark")
    assert colours(page)[0] == 255
    assert page.locator("nav").is_hidden()
    assert page.locator(".slide").first.is_hidden()


def test_it_prints(page):
    assert page.pdf(format="A4").startswith(b"%PDF-")


@pytest.mark.parametrize("width", [320, 400, 768])
def test_a_phone_shows_it_without_scrolling_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("scheme", "width"), [("light", 400), ("dark", 1000)])
def test_axe_finds_nothing_serious(page, scheme, width):
    pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate(files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    told = {one["id"]: one["nodes"][0]["html"] for one in found if one["impact"] in ("serious", "critical")}
    assert told == {}

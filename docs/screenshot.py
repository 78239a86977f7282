"""Takes the picture of a page, as Chromium shows it. Called by `make report`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

#: Pixels: a page of a desktop, and how much of its beginning is shown.
WIDTH, HEIGHT = 1000, 1790


def main() -> None:
    """Usage: screenshot.py PAGE.html OUTPUT.png"""
    page, output = sys.argv[1:]
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        print(f"{output} stays as it is: no chromium on PATH")
        return
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        tab.goto(Path(page).resolve().as_uri())
        tab.screenshot(path=output)
        browser.close()


if __name__ == "__main__":
    main()

"""pipelines/README.md is what `make tables` writes."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def tables() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "tables.py"))


def test_the_page_about_recipes_is_up_to_date(tables: dict[str, Any]):
    written = (ROOT / "pipelines" / "README.md").read_text(encoding="utf-8")
    assert written == tables["page"](), "run `make tables`"


def test_the_page_names_kernels_and_their_renderers(tables: dict[str, Any]):
    page = tables["page"]()
    assert "| `ten_crop` | Views, Window, Flip |" in page
    assert "| `random_choice` | those of the steps inside |" in page
    rows = {
        line.split(" | ")[0][2:]: line.split(" | ")[-3:] for line in page.splitlines() if line[:2] == "| "
    }
    assert rows["Window"] == ["yes", "padding: constant", "yes |"]
    assert rows["Warp"] == ["yes", "fill: one for all channels", "yes |"]
    assert rows["Table"] == ["yes", "–", "yes |"]
    assert rows["Views"] == rows["Normalize"] == ["–", "–", "yes |"]


def test_the_page_names_every_shipped_recipe(tables: dict[str, Any]):
    files = {path.stem for path in (ROOT / "pipelines").glob("*.yaml")}
    assert len(files) >= 6
    assert all(f"[`{name}`]({name}.yaml)" in tables["page"]() for name in files)

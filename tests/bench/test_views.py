"""benchmarks/views.py runs; what it measures is not judged here."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from fastffdi.training.folder import BEST

SCRIPT = Path(__file__).parents[2] / "benchmarks/views.py"


def test_every_kind_of_views_is_scored_with_each_pool_and_timed(
    tiny_run, tiny, tmp_path, monkeypatch, capsys
):
    figures, model = tmp_path / "figures.json", tiny_run.settings.output / BEST
    few = "--views", "flip", "--limit", "6", "--threads", "1", "--json", str(figures)
    monkeypatch.setattr(sys, "argv", ["views.py", str(model), str(tiny), *few])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    one, flip = json.loads(figures.read_text())["results"]
    assert (one["views"], one["cost"], flip["views"]) == ("one", 1.0, "flip")
    assert one["gain"]["mean"]["auc"] == 0
    assert {len(row["seconds"]) for row in (one, flip)} == {2}
    assert "| `flip` |" in capsys.readouterr().out

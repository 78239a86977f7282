"""The scripts in benchmarks/ run; what they measure is not judged here."""

import runpy
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_cost_of_feeding_dali_is_told_for_every_part(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dali_feed.py", "--batch-size", "8", "--repeats", "2"])
    runpy.run_path(str(BENCHMARKS / "dali_feed.py"), run_name="__main__")
    first, *parts = capsys.readouterr().out.splitlines()
    assert first == "jitter, batches of 8, 4 arrays; ms per batch"
    assert [part.split()[0] for part in parts] == ["lower", "arrays", "run", "feed", "all"]

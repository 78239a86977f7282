"""The scripts in benchmarks/ that measure evaluation run; what they measure is not judged here."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch, tmp_path):
    """script(name, ...): what a script writes with --json."""

    def run(name, *words):
        file = tmp_path / "figures.json"
        monkeypatch.setattr(sys, "argv", [name, *map(str, words), "--json", str(file)])
        with pytest.raises(SystemExit, match=r"^0$"):
            runpy.run_path(str(BENCHMARKS / name), run_name="__main__")
        return json.loads(file.read_text())

    return run


def test_the_cost_of_intervals_is_measured(script, capsys):
    record = script("intervals.py", "--images", 300, "--resamples", 20, "--repeats", 2)
    assert (len(record["turns"]), record["settings"]["images"]) == (2, 300)
    assert all(turn["processor_seconds"] > 0 for turn in record["turns"])
    assert {"auc", "cllr_min"} <= {*record["settings"]["measures"]}
    assert "20 resamples of 300 scores" in capsys.readouterr().out


def test_calibration_is_measured_on_a_table_of_scores(script, tmp_path, capsys):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    scores = 1 / (1 + np.exp(-3 * rng.normal(2 * labels - 1, 1.4) - 1))
    rows = [f"{k}.jpg,{label},{score}" for k, (label, score) in enumerate(zip(labels, scores, strict=True))]
    (tmp_path / "s.csv").write_text("\n".join(["img_name,target,y_pred", *rows]))
    record = script("calibration.py", tmp_path / "s.csv", "--splits", 5, "--error-rate", 0.1)
    found = record["calibration"]
    assert list(found) == ["as it is", "temperature", "platt", "isotonic"]
    assert found["platt"]["Cllr"] < found["as it is"]["Cllr"]
    assert np.mean(record["errors"]) == pytest.approx(0.1, abs=0.03)
    assert "reals called fake outside of the band: 0." in capsys.readouterr().out

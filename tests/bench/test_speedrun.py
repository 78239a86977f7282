import json
import math
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fastffdi.model.backbone import load_recipe
from fastffdi.training import config

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = "speedrun"

#: Writes a line of metrics.csv for each AUC, and then ends, or waits to be ended.
RUN = """
import pathlib, sys, time
folder, then = pathlib.Path(sys.argv[1]), sys.argv[2]
folder.mkdir()
lines = ["epoch,val_auc"]
for k, auc in enumerate(sys.argv[3:]):
    lines.append(f"{k + 1},{auc}")
    (folder / "part").write_text(chr(10).join(lines) + chr(10))
    (folder / "part").rename(folder / "metrics.csv")
if then == "wait":
    time.sleep(600)
sys.exit(int(then))
"""


@pytest.fixture
def reached(script, tmp_path):
    """reached("wait", 0.9): how far a run with these AUCs comes towards 0.8."""

    def run(*words):
        folder = tmp_path / "run"
        return script.timed([sys.executable, "-c", RUN, str(folder), *map(str, words)], folder, 0.8)

    return run


def test_a_run_ends_at_the_target(reached):
    found = reached("wait", 0.5, 0.85)
    assert (found.auc, found.epoch) == (0.85, 2)
    assert 0 < found.seconds < 600


def test_a_run_that_ends_short_of_the_target_has_its_best_epoch_and_no_time(reached):
    found = reached("0", 0.5, 0.7, 0.6)
    assert (found.seconds, found.auc, found.epoch) == (math.inf, 0.7, 2)


def test_a_run_that_fails_is_no_result(script, reached):
    with pytest.raises(script.click.ClickException, match=r"ended with code 3"):
        reached("3", 0.5)


def test_the_command_is_a_run_of_train_with_all_images(script):
    words = script.command(
        Path("F"), Path("W"), "4", Path("a/run"), Path("s.yaml"), Path("r.yaml"), True, None
    )
    given = "--config s.yaml --pipeline r.yaml --data F --weights W --seed 4 --cache a/cache --output a/run"
    assert " ".join(words[1:]) == f"-m fastffdi train {given}"


def test_a_row_is_added_with_the_median_of_the_seeds(script, tmp_path, monkeypatch):
    found = {"0": (40.0, 0.951, 2), "1": (math.inf, 0.94, 3), "2": (31.26, 0.96, 1)}
    monkeypatch.setattr(
        script,
        "timed",
        lambda command, *given: script.Reached(*found[command[command.index("--seed") + 1]]),
    )
    table = tmp_path / "table.md"
    table.write_text("before\n")
    ended = CliRunner().invoke(script.main, ["FACES", "--weights", "w.pth", "--table", str(table)])
    assert ended.exit_code == 0
    before, row = table.read_text().splitlines()
    cells = dict(zip(script.HEADINGS, row.strip("| ").split(" | "), strict=True))
    assert before == "before"
    assert cells["seconds"] == "40.0 s (31.3 s to not reached)"
    assert [cells[name] for name in ("reached", "AUC", "epoch")] == [
        "2 of 3",
        "0.951, 0.940, 0.960",
        "2, 3, 1",
    ]
    assert cells["settings"].startswith("to 0.95: backbone tf_efficientnet_lite0, epochs ")
    assert "seed 2: 31.3 s, AUC 0.9600, epoch 1" in ended.output


def test_the_tutorial_beside_it_is_of_the_newest_record(script, tmp_path):
    assert script.tutorial(0.95, tmp_path) == "–"
    runs = [
        {"loop": "tutorial", "seconds": 100 + seed, "epochs": [{"val_auc": 0.6}, {"val_auc": auc}]}
        for seed, auc in enumerate((0.5, 0.96, 0.7))
    ]
    (tmp_path / "2026-11-01-cpu-learning.json").write_text("{}")
    (tmp_path / "2026-11-02-cpu-learning.json").write_text(json.dumps({"results": runs}))
    assert script.tutorial(0.95, tmp_path) == "1 of 3 in 2 epochs, 101 s; best AUC 0.600 to 0.960"


def test_the_settings_and_the_recipe_are_valid_and_the_table_has_its_columns(script):
    settings = config.build(config.read(script.SETTINGS))
    recipe = load_recipe(str(script.RECIPE), settings.backbone)
    assert recipe.train
    assert recipe.eval
    header, rule, *rows = [
        line for line in (BENCHMARKS / "speedrun.md").read_text().splitlines() if line.startswith("|")
    ]
    assert header.strip("| ").split(" | ") == list(script.HEADINGS)
    assert all(line.count("|") == len(script.HEADINGS) + 1 for line in (rule, *rows))

"""`train --seeds` and `train --folds`."""

import csv
import os
import shlex
import shutil
import signal

import pytest
from safetensors.torch import load_file

from fastffdi.training.keeper import Keeper


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_seeds_are_trained_one_after_the_other_and_told_in_one_table(train, output):
    code, out, err = train("--seeds", "3,1", "--limit", 12)
    assert code == 0, err
    assert [row["seed"] for row in table(output / "seeds.csv")] == ["3", "1"]
    assert {path.name for path in output.iterdir()} == {"seed-3", "seed-1", "seeds.csv"}
    assert "seed 3, run 1 of 2\n" in err
    rows = [line.split() for line in out.splitlines()]
    assert ["seed", "best", "epoch", "AUC"] in rows
    assert any(row[:3] == ["mean", "±", "sd"] for row in rows)


def test_the_settings_of_one_of_the_runs_repeat_it(train, fastffdi, output, tmp_path):
    assert train("--folds", 2).code == 0
    again = fastffdi("train", "--config", output / "fold-1" / "config.yaml", "--output", tmp_path / "again")
    assert again.code == 0, again.err
    first, second = (load_file(run / "last.safetensors") for run in (output / "fold-1", tmp_path / "again"))
    assert all(first[key].equal(second[key]) for key in first)


def test_folds_score_every_image_once(train, output):
    code, out, err = train("--folds", 3)
    assert code == 0, err
    rows = table(output / "out_of_fold.csv")
    assert len(rows) == len({row["img_name"] for row in rows}) == 56
    assert sorted({row["fold"] for row in rows}) == ["0", "1", "2"]
    assert all(0 <= float(row["y_pred"]) <= 1 for row in rows)
    assert out.splitlines()[-1].startswith("out of fold: AUC ")
    assert out.splitlines()[-1].endswith(f" over 56 images, in {output}/out_of_fold.csv")
    assert [row["fold"] for row in table(output / "folds.csv")] == ["0", "1", "2"]


def test_groups_stay_together(train, copy, output):
    for split, count in (("train", 40), ("val", 16)):
        rows = [f"{k:02d}.jpg,{k % 2},person {k // 8}" for k in range(count)]
        (copy / f"{split}set_label.txt").write_text("\n".join(["img_name,target,person", *rows]) + "\n")
    assert train("--folds", 2, "--group-by", "person", data=copy).code == 0
    homes = {}
    for row in table(output / "out_of_fold.csv"):
        number = int(row["img_name"].split("/")[1].removesuffix(".jpg"))
        homes.setdefault(number // 8, set()).add(row["fold"])
    assert all(len(home) == 1 for home in homes.values())


@pytest.fixture
def stop_in_second(monkeypatch):
    """Let the process get a signal after the first batch of the second run."""
    told, runs = Keeper.watching, []

    def watching(self, progress):
        runs.append(self)

        def counting(images, means):
            if len(runs) == 2:
                os.kill(os.getpid(), signal.SIGINT)
            progress(images, means)

        return told(self, counting)

    monkeypatch.setattr(Keeper, "watching", watching)


@pytest.mark.usefixtures("stop_in_second")
def test_an_interrupted_series_goes_on(train, fastffdi, output):
    code, _, err = train("--seeds", "0,1")
    assert code == 130
    command = shlex.split(err.splitlines()[-1].partition("; go on with: ")[2])
    assert command[-1] == "--resume"
    best = (output / "seed-0" / "best.safetensors").stat().st_mtime_ns
    code, _, err = fastffdi(*command[1:])
    assert code == 0, err
    assert f"{output}/seed-0: this run is finished, after 1 epochs; nothing is left to do" in err
    assert f"{output}/seed-1: going on at epoch 1 after 8 of 40 training images" in err
    assert (output / "seed-0" / "best.safetensors").stat().st_mtime_ns == best
    assert len(table(output / "seeds.csv")) == 2


def test_a_time_limit_is_that_of_all_of_them(train, output):
    code, out, err = train("--seeds", "0,1", "--time-limit", "0.001s")
    assert code == 0
    assert "--time-limit 0.001s is over: stopped in epoch 1 of 1, after 8 of 40 training images" in err
    assert len(table(output / "seeds.csv")) == 1
    assert not (output / "seed-1").exists()
    assert "mean" not in out


def test_a_run_that_is_there_is_not_lost(train, output, tiny_run):
    shutil.copytree(tiny_run.settings.output, output / "seed-1")
    code, out, err = train("--seeds", "0,1")
    assert (code, out) == (2, "")
    assert err.startswith(f"fastffdi: --output {output}/seed-1: already holds a run")
    assert [path.name for path in output.iterdir()] == ["seed-1"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--seeds", "a"), "--seeds a: give whole numbers such as 0,1,2"),
        (("--seeds", "0,1", "--seed", 1), "--seed: goes without --seeds; give one of the two"),
        (("--seeds", "0", "--folds", 2), "--seeds: goes without --folds; give one of the two"),
        (("--group-by", "person"), "--group-by: belongs to --folds; give both, or neither"),
        (("--folds", 2, "--dry-run"), "--dry-run: is of a single run; leave out --folds"),
        (("--folds", 40), "--folds 40: there are only 28 real images; give fewer folds"),
    ],
)
def test_what_does_not_go_together_is_refused(train, output, words, line):
    code, out, err = train(*words)
    assert (code, out, err) == (2, "", f"fastffdi: {line}\n")
    assert not output.exists()


def test_several_processes_are_refused(train, output, monkeypatch):
    for name, value in (("RANK", 0), ("WORLD_SIZE", 2), ("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 2)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("fastffdi.world.World.may_tell", lambda world: True)
    code, _, err = train("--seeds", "0,1")
    assert (code, output.exists()) == (2, False)
    assert err.startswith("fastffdi: --seeds: not in several processes;")

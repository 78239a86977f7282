"""Series of runs: their settings, and the tables of what came out of them."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from experiments import finished

from fastffdi.data.folds import Pool
from fastffdi.errors import SettingError
from fastffdi.training import series
from fastffdi.training.result import EpochResult
from fastffdi.training.series import Member, mean_and_sd, of_folds, of_seeds, parse_seeds

pytestmark = pytest.mark.usefixtures("one_thread")


def result(auc, epoch=0):
    return EpochResult(epoch, 0.5, 0.5, 100.0, 0.5, 1e-3, {"auc": auc, "eer": None})


@pytest.mark.parametrize(("text", "seeds"), [("0,1,2", [0, 1, 2]), ("7", [7]), (" 3, 1 ", [3, 1])])
def test_seeds_are_numbers(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "1,,2", "a", "-1", "0.5", "1-3"])
def test_other_seeds_are_refused(text):
    with pytest.raises(SettingError, match=r"^--seeds .*: give whole numbers such as 0,1,2$"):
        parse_seeds(text)


def test_a_seed_that_is_given_twice_is_refused():
    with pytest.raises(SettingError, match="--seeds 1,2,1: give each seed once"):
        parse_seeds("1,2,1")


def test_seeds_have_folders_of_their_own_and_nothing_else_differs(settings):
    members = of_seeds(settings, [4, 2])
    assert [member.settings for member in members] == [
        replace(settings, seed=seed, output=settings.output / f"seed-{seed}") for seed in (4, 2)
    ]


def test_the_runs_of_folds_are_each_validated_on_one_and_trained_on_the_others(settings, dataset):
    pool = Pool.of(dataset)
    folds = pool.folds(3, 0)
    members = of_folds(settings, pool, folds)
    for number, member in enumerate(members):
        data = member.settings.dataset()
        assert data.val.names.tolist() == pool.files[folds == number].tolist()
        assert data.train.names.tolist() == pool.files[folds != number].tolist()
        assert data.val.labels.tolist() == pool.labels[folds == number].tolist()


def test_a_series_loses_no_old_run(settings, dataset, fit):
    fit((0.9, 0.5))
    finished(replace(settings, output=settings.output / "seed-1"), dataset)
    with pytest.raises(SettingError, match="seed-1: holds a run that was interrupted; go on with it by"):
        of_seeds(settings, [0, 1])
    assert len(of_seeds(replace(settings, overwrite=True), [0, 1])) == 2
    for resume in ("must", "auto"):
        members = of_seeds(replace(settings, resume=resume), [0, 1])
        assert [member.settings.resume for member in members] == ["auto", "auto"]


def test_a_series_does_not_go_on_with_other_folds(settings, dataset):
    pool = Pool.of(dataset)
    of_folds(settings, pool, pool.folds(2, 0))
    again = replace(settings, resume="auto")
    before = (settings.output / "fold-0" / "val.csv").read_text()
    assert len(of_folds(again, pool, pool.folds(2, 0))) == 2
    for count, seed in ((2, 1), (3, 0)):
        with pytest.raises(SettingError, match=r"^--resume: the folds in .* are others; repeat --folds"):
            of_folds(again, pool, pool.folds(count, seed))
    assert (settings.output / "fold-0" / "val.csv").read_text() == before


def test_without_any_run_there_is_nothing_to_go_on_with(settings):
    assert [member.settings.resume for member in of_seeds(replace(settings, resume="must"), [0])] == ["must"]


def test_mean_and_standard_deviation_of_a_sample():
    mean, sd = mean_and_sd([result(0.5), result(0.7), result(0.9)])
    assert (mean, sd) == (pytest.approx(0.7), pytest.approx(0.2))
    assert mean_and_sd([result(0.5)]) is None
    assert mean_and_sd([result(0.5), result(None), result(0.9)]) is None


def test_the_table_has_a_row_for_each_run(settings, tmp_path):
    members = [Member("seed", seed, replace(settings, output=tmp_path / str(seed))) for seed in (3, 5)]
    series.write_table(tmp_path / "seeds.csv", members, [result(0.1 + 0.2, 2), result(None)])
    with (tmp_path / "seeds.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["seed", "best_epoch", "val_auc", "val_eer", "checkpoint"],
            ["3", "3", "0.30000000000000004", "", f"{tmp_path}/3/best.safetensors"],
            ["5", "1", "", "", f"{tmp_path}/5/best.safetensors"],
        ]


def test_the_scores_of_each_fold_are_its_models(settings, dataset, brightness):
    pool = Pool.of(dataset)
    folds = pool.folds(2, 0)
    members = of_folds(settings, pool, folds)
    scores = series.out_of_fold(members, folds)
    assert (scores > 0.4).tolist() == (pool.labels == 1).tolist()  # bright images are fake
    path = settings.output / "out_of_fold.csv"
    series.write_out_of_fold(path, pool, folds, np.where(np.arange(56) == 3, np.nan, scores))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["img_name"] for row in rows] == pool.names.tolist()
    assert [int(row["fold"]) for row in rows] == folds.tolist()
    assert [int(row["target"]) for row in rows] == pool.labels.tolist()
    assert rows[3]["y_pred"] == ""
    assert float(rows[4]["y_pred"]) == pytest.approx(scores[4], rel=1e-8)

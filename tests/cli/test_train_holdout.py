"""train --holdout: a group is kept out of a run, and scored at its end."""

import json

import pandas as pd
import pytest

from fastffdi.evaluation import metrics


@pytest.fixture
def sources(copy):
    """The tiny images with a column: reals of a camera, fakes of two generators."""
    for split in ("train", "val"):
        file = copy / f"{split}set_label.txt"
        table = pd.read_csv(file)
        makers = ["gan" if k % 4 == 1 else "diffusion" for k in range(len(table))]
        table["maker"] = pd.Series(makers).where(table["target"] == 1, "camera")
        table.to_csv(file, index=False)
    return copy


def test_the_group_is_scored_at_the_end(train, fastffdi, sources, output):
    code, out, _ = train("--holdout", "maker=gan", data=sources)
    assert code == 0
    table = pd.read_csv(output / "holdout_scores.csv")
    assert table["maker"].value_counts().to_dict() == {"gan": 14, "camera": 8}
    auc = metrics.auc(table["target"].to_numpy(), table["y_pred"].to_numpy())
    line = f"held out, maker=gan: 14 images beside 8 validation images, AUC {auc:.4f}, 95 % interval "
    assert any(told.startswith(line) for told in out.splitlines())
    summary = json.loads((output / "summary.json").read_text())
    assert (summary["holdout"]["of"], summary["holdout"]["auc"]) == ("maker=gan", pytest.approx(auc))
    assert summary["settings"]["--holdout"] == "maker=gan"
    assert len(pd.read_csv(output / "val_scores.csv")) == 12
    code, out, _ = fastffdi("evaluate", "--scores", output / "holdout_scores.csv", "--resamples", 100)
    assert (code, f"{auc:.4f}" in out) == (0, True)


def test_another_group_is_another_run(train, sources, output):
    assert train("--holdout", "maker=gan", data=sources).code == 0
    code, _, err = train("--holdout", "maker=diffusion", "--resume", data=sources)
    assert code == 2
    assert "--holdout maker=gan, now maker=diffusion" in err


def test_folds_hold_out_by_themselves(train, sources, output):
    code, _, err = train("--holdout", "maker=gan", "--folds", 2, data=sources)
    assert (code, output.exists()) == (2, False)
    assert err.startswith("fastffdi: --holdout: goes without --folds")


def test_a_group_that_is_not_there_is_found_before_training(train, sources, output):
    code, _, err = train("--holdout", "maker=gna", data=sources)
    assert (code, output.exists()) == (2, False)
    assert "--holdout maker=gna: no image has that; 'maker' holds camera, diffusion, gan" in err

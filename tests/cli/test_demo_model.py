"""The model of the demo: as good as it is said to be. In one file, so that one process trains it."""

import pytest
from submitted import names, table

from fastffdi.evaluation.metrics import auc


def test_the_demo_models_auc_is_at_least_nine_tenths(demo_run):
    assert demo_run.best.validation["auc"] >= 0.90


def test_the_demo_models_csv_has_the_auc_that_was_reported(fastffdi, demo_run, submit):
    data, best = demo_run.dataset, demo_run.settings.output / "best.safetensors"
    folder = data.description.split(": training")[0]
    # In the precision of the run: bfloat16, where the CPU has it, changes the order of a few.
    ended = fastffdi("predict", best, "--data", folder, "--output", submit, "--amp", "off")
    reported = demo_run.best.validation["auc"]
    assert ended.out.splitlines()[1] == f"AUC against the labels given: {reported:.4f}"
    assert names(submit) == data.val.names.tolist()
    assert auc(data.val.labels, table(submit)["y_pred"].to_numpy()) == pytest.approx(reported, abs=1e-3)

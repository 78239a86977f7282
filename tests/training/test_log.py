from dataclasses import replace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fastffdi.evaluation import metrics
from fastffdi.training.folder import TABLE
from fastffdi.training.log import RunLog, flat, line, shown
from fastffdi.training.result import EpochResult

VALIDATION = {
    "auc": 0.875,
    "ap": 0.9,
    "accuracy": 0.8125,
    "log_loss": 0.4321987654,
    "eer": 0.1875,
    "tpr_at_fpr_0.01": None,
    "tpr_at_fpr_0.001": None,
}
FIRST = EpochResult(0, 0.69314718, 0.55, 1234.5, 0.0625, 0.0001, VALIDATION)
SECOND = EpochResult(1, 0.5, 0.75, 2000.0, 0.5, 0.01, VALIDATION | {"auc": None, "eer": None}, 3, 2.5, 0.125)
HEADER = (
    "epoch,train_loss,train_accuracy,val_auc,val_ap,val_accuracy,val_log_loss,val_eer,"
    "val_tpr_at_fpr_0.01,val_tpr_at_fpr_0.001,images_per_second,wait_share,save_share,learning_rate,gradient_norm,corrupt"
)
ROWS = [
    "1,0.693147,0.55,0.875,0.9,0.8125,0.432199,0.1875,,,1234.5,0.0625,0,0.0001,,0",
    "2,0.5,0.75,,0.9,0.8125,0.432199,,,,2000,0.5,0.125,0.01,2.5,3",
]


@pytest.fixture
def log(tmp_path):
    return RunLog(tmp_path)


def table(folder):
    return (folder / TABLE).read_text().splitlines()


def events(folder):
    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_the_table_has_a_row_for_every_epoch(log, tmp_path):
    log.write(FIRST)
    log.write(SECOND)
    assert table(tmp_path) == [HEADER, *ROWS]


def test_a_row_is_on_disk_as_soon_as_it_is_written(log, tmp_path):
    log.write(FIRST)
    assert table(tmp_path) == [HEADER, ROWS[0]]


def test_the_columns_are_those_of_the_measures():
    assert [f"val_{name}" for name in VALIDATION] == [name for name in flat(FIRST) if name.startswith("val_")]
    assert metrics.summary(*([[0, 1]] * 2)).keys() == VALIDATION.keys()


def test_events_hold_the_same_figures_by_epoch(log, tmp_path):
    log.write(FIRST)
    log.write(SECOND)
    expected = {
        "train_loss": [0.69314718, 0.5],
        "train_accuracy": [0.55, 0.75],
        "val_auc": [0.875],
        "val_ap": [0.9, 0.9],
        "val_accuracy": [0.8125, 0.8125],
        "val_log_loss": [0.4321987654, 0.4321987654],
        "val_eer": [0.1875],
        "images_per_second": [1234.5, 2000.0],
        "wait_share": [0.0625, 0.5],
        "save_share": [0, 0.125],
        "learning_rate": [0.0001, 0.01],
        "gradient_norm": [2.5],
        "corrupt": [0, 3],
    }
    found = events(tmp_path)
    assert {tag: [value for _, value in points] for tag, points in found.items()} == {
        tag: pytest.approx(values) for tag, values in expected.items()
    }
    steps = {tag: [step for step, _ in points] for tag, points in found.items()}
    assert steps.pop("gradient_norm") == [2]
    assert steps == {tag: [1, 2][: len(expected[tag])] for tag in steps}


def test_the_line_of_an_epoch():
    assert line(FIRST, 5) == (
        "epoch 1/5  train loss 0.6931  val loss 0.4322  accuracy 0.8125  AUC 0.8750  "
        "1234 img/s  waiting for data 6%"
    )


def test_the_line_says_how_many_images_were_skipped():
    assert line(SECOND, 5).endswith("waiting for data 50%  corrupt images skipped: 3")


def test_the_line_says_what_is_undefined():
    assert "AUC undefined  2000 img/s  waiting for data 50%" in line(SECOND, 5)


def test_a_figure_is_shown_with_four_decimals():
    assert [shown(0.5), shown(1.0), shown(None)] == ["0.5000", "1.0000", "undefined"]


def test_of_two_kinds_of_weights_it_says_which(log, tmp_path):
    both = replace(FIRST, weights="ema", aucs={"raw": 0.75, "ema": 0.875})
    assert "AUC 0.8750 (ema; raw 0.7500)  " in line(both, 5)
    log.write(both)
    header, row = table(tmp_path)
    assert header.endswith(",weights,val_auc_raw,val_auc_ema")
    assert row.endswith(",ema,0.75,0.875")
    assert events(tmp_path)["val_auc_ema"] == [(1, 0.875)]
    assert "weights" not in events(tmp_path)

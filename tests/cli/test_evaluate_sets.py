"""evaluate on several sets of images in one call."""

import json

import numpy as np
import pandas as pd
import pytest

from fastffdi.evaluation import metrics

QUICK = ("--resamples", 100)
PLAIN = ("--amp", "off", "--threads", 1, *QUICK)


@pytest.fixture
def tables(tmp_path):
    """Three tables of 60 scores, each worse than the one before."""
    rng, files = np.random.default_rng(0), [tmp_path / f"{name}.csv" for name in "abc"]
    labels = np.arange(60) % 2
    for gain, file in zip((0.6, 0.4, 0.1), files, strict=True):
        scores = np.clip(rng.normal(0.3 + gain * labels, 0.2), 0, 1).round(2)
        names = [f"{k}.jpg" for k in range(60)]
        pd.DataFrame({"img_name": names, "target": labels, "y_pred": scores}).to_csv(file, index=False)
    return files


def aucs(files):
    return [metrics.auc(table["target"], table["y_pred"]) for table in map(pd.read_csv, files)]


def test_tables_of_scores_are_told_one_by_one_then_together(evaluate, tables, tmp_path):
    words = [word for file in tables for word in ("--scores", file)]
    code, out, err = evaluate(*words, "--json", tmp_path / "e.json", *QUICK)
    assert (code, err) == (0, "")
    assert [f"{file}: 60 images, 30 real and 30 fake" in out.splitlines() for file in tables] == [True] * 3
    record, expected = json.loads((tmp_path / "e.json").read_text()), aucs(tables)
    assert [entry["set"] for entry in record["models"]] == [str(file) for file in tables]
    (across,) = record["across"]
    assert (across["scores_of"], across["sets"]) == (None, [str(file) for file in tables])
    assert across["figures"]["auc"] == {
        "mean": pytest.approx(np.mean(expected)),
        "sd": pytest.approx(np.std(expected, ddof=1)),
        "worst": pytest.approx(expected[2]),
        "worst_set": str(tables[2]),
        "sets": 3,
    }
    lines = [line.split() for line in out[out.index("3 sets:") :].splitlines()]
    assert [str(tables[0]), "30", "30", f"{expected[0]:.4f}"] in [line[:4] for line in lines]
    mean, sd = np.mean(expected), np.std(expected, ddof=1)
    assert ["AUC", f"{mean:.4f}", f"{sd:.4f}", f"{expected[2]:.4f}", str(tables[2])] in lines


def test_a_shell_may_name_the_tables(evaluate, tables):
    named = evaluate(*(word for file in tables for word in ("--scores", file)), *QUICK)
    assert evaluate("--scores", *tables, *QUICK) == named


def test_two_checkpoints_by_two_folders(evaluate, best, tiny, copy, tmp_path):
    last = best.with_name("last.safetensors")
    (copy / "valset" / "03.jpg").write_bytes(b"no image")
    words = ("--data", tiny, "--data", copy, "--json", tmp_path / "e.json")
    code, out, err = evaluate(best, last, *words, *PLAIN)
    assert (code, err) == (3, "images that cannot be decoded: 1\n")
    record = json.loads((tmp_path / "e.json").read_text())
    named = [(entry["scores_of"], entry["set"], entry["images"]) for entry in record["models"]]
    assert named == [(str(m), str(d), n) for m in (best, last) for d, n in ((tiny, 16), (copy, 15))]
    assert [("less_than_first" in entry) for entry in record["models"]] == [False, False, True, True]
    assert f"{best} less {last} on {copy}: AUC" in out
    values = [entry["figures"]["auc"]["value"] for entry in record["models"]]
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[-6:]}
    assert rows["AUC"] == [str(best), str(last)]
    assert rows[str(tiny)] == [f"{values[0]:.4f}", f"{values[2]:.4f}"]
    assert rows["mean"] == [f"{np.mean(values[k : k + 2]):.4f}" for k in (0, 2)]
    assert rows["worst"] == [f"{min(values[k : k + 2]):.4f}" for k in (0, 2)]


def test_label_files_may_share_a_folder(evaluate, best, tiny, tmp_path):
    first, *rows = (tiny / "valset_label.txt").read_text().splitlines()
    files = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for file, part in zip(files, (rows[:10], rows[10:]), strict=True):
        file.write_text("\n".join([first, *part]))
    words = ("--labels", files[0], "--labels", files[1], "--images", tiny / "valset")
    code, out, _ = evaluate(best, *words, *PLAIN)
    assert code == 0
    assert f"{best} on {files[1]}: 6 images, " in out
    assert f"{best} over 2 sets:" in out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["a.safetensors", "--data", "d", "--data", "d"], "a set of images is named twice"),
        (["a.safetensors", "--data", "d", "--labels", "l"], "name the images in one way"),
        (["a.safetensors", "--scores", "s.csv"], "give CHECKPOINTs, or --scores FILE"),
        (["--scores", "s.csv", "t.csv", "--calibrate", "platt"], "are fitted to one set"),
        (["a.safetensors", "--data", "d", "--data", "e", "--choose-threshold", "eer"], "are fitted to one"),
    ],
)
def test_what_does_not_go_together_is_refused(evaluate, words, problem):
    code, out, err = evaluate(*words)
    assert (code, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1

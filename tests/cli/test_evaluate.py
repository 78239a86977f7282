import json
import re

import pandas as pd
import pytest

from fastffdi.evaluation import metrics
from fastffdi.evaluation.decision import Band, Decision
from fastffdi.model import checkpoint

PLAIN = ("--amp", "off", "--threads", 1, "--resamples", 100)


def test_a_checkpoint_is_scored_on_the_validation_images(evaluate, fastffdi, best, tiny, tmp_path):
    code, out, err = evaluate(best, "--data", tiny, "--json", tmp_path / "e.json", *PLAIN)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"{best}: 16 images, 8 real and 8 fake"
    (found,) = json.loads((tmp_path / "e.json").read_text())["models"]
    table = tmp_path / "submit.csv"
    fastffdi("predict", best, "--data", tiny, "-o", table, *PLAIN[:4])
    predicted = pd.read_csv(table)["y_pred"].to_numpy()
    labels = pd.read_csv(tiny / "valset_label.txt")["target"].to_numpy()
    assert found["figures"]["auc"]["value"] == pytest.approx(metrics.auc(labels, predicted))
    assert found["figures"]["log_loss"]["value"] == pytest.approx(
        metrics.log_loss(labels, predicted), abs=1e-6
    )
    assert found["figures"]["auc"]["interval"]["level"] == 0.95


def test_two_checkpoints_are_compared(evaluate, best, tiny):
    last = best.with_name("last.safetensors")
    code, out, _ = evaluate(best, last, "--labels", tiny / "valset_label.txt", *PLAIN)
    assert code == 0
    assert out.splitlines()[-1].startswith(f"{best} less {last}: AUC ")
    assert out.splitlines()[-1].endswith("(DeLong)")


def test_scores_of_any_detector_by_group(evaluate, scores):
    code, out, err = evaluate("--scores", scores, "--by", "group", "--threshold", 0.3, "--resamples", 100)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    table = pd.read_csv(scores)
    expected = metrics.auc(table["target"], table["y_pred"])
    assert lines[2].split()[:2] == ["AUC", f"{expected:.4f}"]
    assert any(line.startswith("  accuracy at the threshold ") for line in lines)
    assert [line.split()[0] for line in lines[-4:]] == ["a", "b", "c", "worst:"]


def test_an_image_that_cannot_be_decoded_is_left_out(evaluate, best, copy):
    (copy / "valset" / "03.jpg").write_bytes(b"no image")
    code, out, err = evaluate(best, "--data", copy, *PLAIN)
    assert code == 3
    assert out.splitlines()[0] == f"{best}: 15 images, 8 real and 7 fake; 1 more without a score"
    assert err == "images that cannot be decoded: 1\n"
    code, _, err = evaluate(best, "--data", copy, "--on-corrupt", "fail", *PLAIN)
    assert code == 1
    assert "03.jpg" in err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "give CHECKPOINTs, or --scores FILE"),
        (["a.safetensors"], "name the images in one way: --data DIR or --labels FILE"),
        (["--scores", "s.csv", "--data", "d"], "--scores: has the labels as well"),
        (["a.safetensors", "--data", "d", "--images", "i"], "--images: belongs to --labels FILE"),
        (["a.st", "a.st", "--data", "d"], "a checkpoint is named twice"),
        (["--scores", "s.csv", "--json", "/no/such/f.json"], "there is no folder /no/such"),
    ],
)
def test_what_does_not_go_together_is_refused(evaluate, words, problem):
    code, out, err = evaluate(*words)
    assert (code, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1


def test_nothing_is_written_over(evaluate, scores):
    assert evaluate("--scores", scores, "--json", scores).code == 2
    code, _, err = evaluate("--scores", scores, "--json", scores, "--overwrite")
    assert (code, err) == (
        2,
        f"fastffdi: --json {scores}: is a file that is read; name another file to write\n",
    )
    assert scores.read_text().startswith("img_name")


def test_several_processes_are_refused(evaluate, scores, monkeypatch):
    for name, value in (("RANK", 0), ("WORLD_SIZE", 2), ("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 2)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("fastffdi.world.World.may_tell", lambda world: True)
    code, out, err = evaluate("--scores", scores)
    assert (code, out, err) == (
        2,
        "",
        "fastffdi: evaluate: works in one process; start it without torchrun\n",
    )


def test_a_decision_is_fitted_and_stored(evaluate, best, tiny, tmp_path):
    model = tmp_path / "own.safetensors"
    model.write_bytes(best.read_bytes())
    words = ("--choose-threshold", "fpr=0.5", "--error-rate", 0.3, "--store", "--json", tmp_path / "e.json")
    code, out, err = evaluate(model, "--data", tiny, *words, *PLAIN)
    assert (code, err) == (0, "")
    assert "  threshold by fpr=0.5: fake from scores of 0." in out
    assert "  inconclusive: scores from 0." in out
    assert out.splitlines()[-1] == f"  stored in {model}; next: fastffdi predict --decide"
    (found,) = json.loads((tmp_path / "e.json").read_text())["models"]
    assert checkpoint.read(model).decision == found["decision"]
    assert Decision.from_data(found["decision"]).images == 16
    lines = evaluate(model, "--data", tiny, *PLAIN).out.splitlines()
    cut = found["decision"]["threshold"]
    assert lines[1] == f"  the threshold is the stored one, by fpr=0.5: fake from {cut:.4f} on"
    told = [line.split() for line in lines[3:] if "at the threshold" not in line]
    assert told == [line.split() for line in out.splitlines()[2 : 2 + 14]]
    given = evaluate(model, "--data", tiny, "--threshold", cut, *PLAIN).out.splitlines()
    assert given[1:] == lines[2:]


def test_calibration_says_what_it_does_for_images_it_has_not_seen(evaluate, scores):
    code, out, _ = evaluate("--scores", scores, "--calibrate", "platt", "--resamples", 100)
    assert code == 0
    assert re.search(r"calibrated by platt, each fifth by the others: ECE 0\.\d+ → 0\.\d+, Cllr ", out)
    assert "threshold by youden: fake from calibrated scores of 0." in out


def test_there_has_to_be_something_to_store_and_a_place_for_it(evaluate, scores):
    code, _, err = evaluate("a.safetensors", "--data", "d", "--store")
    assert (code, err.startswith("fastffdi: --store: give --calibrate")) == (2, True)
    code, _, err = evaluate("--scores", scores, "--choose-threshold", "eer", "--store")
    assert (code, err.startswith("fastffdi: --store: there is no checkpoint")) == (2, True)


def test_groups_are_a_column_of_the_label_file(evaluate, best, copy):
    labels = copy / "valset_label.txt"
    first, *rows = labels.read_text().splitlines()
    labels.write_text(
        "\n".join([f"{first},camera", *(f"{row},{'ab'[k // 8]}" for k, row in enumerate(rows))])
    )
    code, out, _ = evaluate(best, "--data", copy, "--by", "camera", *PLAIN)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[-3:]] == ["a", "b", "worst:"]


@pytest.mark.parametrize("safe", [(), ("--excel-safe",)])
def test_predict_decides_as_it_was_stored(fastffdi, best, tiny, tmp_path, safe):
    model, table = tmp_path / "own.safetensors", tmp_path / "s.csv"
    model.write_bytes(best.read_bytes())
    words = ("predict", model, tiny / "valset", "--output", table, "--decide", *PLAIN[:4], *safe)
    code, _, err = fastffdi(*words)
    assert (code, table.exists()) == (2, False)
    assert err.startswith(f"fastffdi: --decide: {model} holds no threshold; fit one with: fastffdi evaluate ")
    decision = Decision(0.5, "eer", 16, None, Band(0.4, 0.45, 0.1))
    checkpoint.amend(model, decision=decision.to_data())
    assert fastffdi(*words).code == 0
    found = pd.read_csv(table)
    assert list(found) == ["img_name", "y_pred", "decision"]
    assert found["decision"].tolist() == decision(found["y_pred"].to_numpy()).tolist()


def test_a_decision_that_is_none_is_refused(fastffdi, best, tiny, tmp_path):
    model = tmp_path / "own.safetensors"
    model.write_bytes(best.read_bytes())
    checkpoint.amend(model, decision={"threshold": "high"})
    code, _, err = fastffdi("predict", model, tiny / "valset", "--output", tmp_path / "s.csv")
    assert code == 2
    assert err.startswith(f"fastffdi: checkpoint {model}: decision: ")
    assert err.count("\n") == 1

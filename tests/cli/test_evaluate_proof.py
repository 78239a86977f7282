"""Every figure and every interval that evaluate gives is scikit-learn's, or that of a plain loop."""

import json
import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

from fastffdi.evaluation import bootstrap

THRESHOLD, RESAMPLES, SEED = 0.35, 100, 7


def reference(labels, scores):
    """The figures of one set of images."""
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    reals, fakes = scores[labels == 0], scores[labels == 1]
    nats = [cost(score, label) for score, label in zip(scores.tolist(), labels.tolist(), strict=True)]
    found = {
        "auc": roc_auc_score(labels, scores),
        "ap": average_precision_score(labels, scores),
        "eer": fpr[np.argmin(np.abs(1 - tpr - fpr))],
        "log_loss": sum(nats) / len(nats),
        "brier": brier_score_loss(labels, scores),
        "ece": ece(labels, scores),
        "cllr": cllr(reals.tolist(), fakes.tolist()),
        "cllr_min": cllr_min(labels, scores),
    }
    for target in (0.1, 0.01, 0.001, 0.0001):
        found[f"tpr_at_fpr_{target:g}"] = max(t for f, t in zip(fpr, tpr, strict=True) if f <= target)
    for name, cut in (("0.5", 0.5), ("threshold", THRESHOLD)):
        found[f"accuracy_at_{name}"] = np.mean((scores >= cut) == labels)
        found[f"balanced_accuracy_at_{name}"] = (np.mean(reals < cut) + np.mean(fakes >= cut)) / 2
    return found


@cache
def cost(score, label):
    score = min(max(score, 1e-7), 1 - 1e-7)
    return -math.log(score if label else 1 - score)


def cllr(reals, fakes):
    nats = sum(cost(s, 0) for s in reals) / len(reals) + sum(cost(s, 1) for s in fakes) / len(fakes)
    return nats / 2 / math.log(2)


def cllr_min(labels, scores):
    weights = np.where(labels == 1, 1 / labels.sum(), 1 / (1 - labels).sum())
    best = IsotonicRegression(y_min=0, y_max=1).fit_transform(scores, labels, sample_weight=weights)
    likely = np.where(labels == 1, best, 1 - best)
    return -(weights * np.log(likely)).sum() / 2 / math.log(2)


def ece(labels, scores):
    gaps = [0.0] * 15
    for label, score in zip(labels.tolist(), scores.tolist(), strict=True):
        gaps[min(int(score * 15), 14)] += label - score
    return sum(map(abs, gaps)) / len(labels)


@pytest.fixture(scope="module")
def table():
    """5,000 images of tied scores: two cameras have both classes, and one generator fakes alone."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 5000)
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.25), 0, 1).round(2)
    groups = np.where((labels == 1) & (rng.random(5000) < 0.5), "gan", rng.choice(["canon", "nikon"], 5000))
    names = [f"{k}.jpg" for k in range(5000)]
    return pd.DataFrame({"img_name": names, "target": labels, "y_pred": scores, "source": groups})


@pytest.fixture
def record(table, fastffdi, tmp_path):
    table.to_csv(tmp_path / "s.csv", index=False)
    words = ("--by", "source", "--threshold", THRESHOLD, "--resamples", RESAMPLES, "--seed", SEED)
    code, _, err = fastffdi("evaluate", "--scores", tmp_path / "s.csv", *words, "--json", tmp_path / "e.json")
    assert (code, err) == (0, "")
    (found,) = json.loads((tmp_path / "e.json").read_text())["models"]
    return found


@pytest.mark.parametrize("group", [None, "canon", "gan", "nikon"])
def test_figures_and_intervals_are_those_of_a_slow_loop(table, record, group):
    found, rows = record["figures"], np.ones(len(table), bool)
    if group is not None:
        (found,) = (one["figures"] for one in record["groups"] if one["value"] == group)
        rows = (table["source"] == group) | ((group == "gan") & (table["target"] == 0))
    labels, scores = (table.loc[rows, name].to_numpy() for name in ("target", "y_pred"))
    expected = reference(labels, scores)
    assert {name: figure["value"] for name, figure in found.items()} == pytest.approx(expected, abs=1e-9)
    drawn = [reference(labels[own], scores[own]) for own in bootstrap.images(labels, RESAMPLES, SEED)]
    for name, figure in found.items():
        ends = np.quantile([one[name] for one in drawn], (0.025, 0.975))
        assert [figure["interval"]["low"], figure["interval"]["high"]] == pytest.approx(ends, abs=1e-9), name


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (["a,1,0.2", "b,1,0.9"], "  all images are fake: what compares classes needs real ones too"),
        (["a,0,0.5", "b,1,0.5"], "  all scores are 0.5: they tell no image from another"),
    ],
)
def test_scores_that_tell_nothing_are_said_to(fastffdi, tmp_path, rows, line):
    (tmp_path / "s.csv").write_text("\n".join(["img_name,target,y_pred", *rows]))
    code, out, err = fastffdi("evaluate", "--scores", tmp_path / "s.csv", "--resamples", 100)
    assert (code, err) == (0, "")
    assert out.splitlines()[1].startswith(line)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not CSV"),
        ("img_name,target,y_pred\n", "lists no images; write a line for each"),
        ("img_name,target,y_pred\na,0,nan\n", "line 2: y_pred 'nan' is not P(fake), from 0 to 1; empty"),
        ("img_name,target,y_pred\na,0,inf\n", "line 2: y_pred 'inf' is not P(fake), from 0 to 1; give prob"),
        ("img_name,target,y_pred\na,0,\nb,1,\n", "none of 2 images has a score"),
        ("img_name,target,y_pred\na,,0.5\n", "line 2: target '' is not 0 (real) or 1 (fake)"),
    ],
)
def test_scores_that_are_none_are_refused_in_one_line(fastffdi, tmp_path, text, problem):
    (tmp_path / "s.csv").write_text(text)
    code, out, err = fastffdi("evaluate", "--scores", tmp_path / "s.csv")
    assert (code, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1

"""--views, --pool and --scales, and several checkpoints, on the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fastffdi.cli.viewing import leading, manner
from fastffdi.errors import SettingError
from fastffdi.evaluation.decision import Decision
from fastffdi.inference.predict import Predictor
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model import checkpoint

PLAIN = ("--amp", "off", "--threads", 1)
VIEWS = ("--views", "flip", "--pool", "logit", "--scales", "1,2")


@pytest.fixture
def own(best, tmp_path):
    """A copy of the checkpoint, to store a decision in."""
    return Path(shutil.copy(best, tmp_path / "own.safetensors"))


def test_checkpoints_come_first_and_end_in_safetensors(tmp_path):
    (tmp_path / "images.safetensors").mkdir()
    folder = str(tmp_path / "images.safetensors")
    words = ["b.safetensors", "c.safetensors", folder, "d.safetensors", "x.jpg"]
    checkpoints, inputs = leading(Path("a"), words)
    assert checkpoints == (Path("a"), Path("b.safetensors"), Path("c.safetensors"))
    assert inputs == tuple(words[2:])
    assert leading(Path("a.safetensors"), ["x.jpg"]) == ((Path("a.safetensors"),), ("x.jpg",))
    with pytest.raises(SettingError, match="named twice"):
        leading(Path("b.safetensors"), words)


def test_the_manner_has_one_spelling():
    assert manner(None, "mean", "1.0") == ""
    assert manner("flip", "topk:2", "0.50,1") == "--views flip --pool topk:2 --scales 0.5,1"
    with pytest.raises(SettingError, match=r"^--scales 1,x: give numbers"):
        manner(None, "mean", "1,x")


def test_several_checkpoints_are_an_ensemble(fastffdi, best, tiny, tmp_path):
    last, table = best.with_name("last.safetensors"), tmp_path / "s.csv"
    ended = fastffdi("predict", best, last, tiny / "valset", "-o", table, *PLAIN, *VIEWS)
    assert (ended.code, ended.out) == (0, f"16 rows in {table}\n")
    loading = LoaderSettings(1, 8)
    expected = Predictor(
        [best, last], device="cpu", amp="off", loading=loading, views="flip", pool="logit", scales=(1, 2)
    )(tiny / "valset")
    np.testing.assert_allclose(pd.read_csv(table)["y_pred"], expected, atol=1e-6)


def test_a_second_checkpoint_is_never_written_over(fastffdi, best, own, tiny):
    before = own.read_bytes()
    ended = fastffdi("predict", best, own, tiny / "valset", "-o", own, "--overwrite", *PLAIN)
    assert ended.code == 2
    assert "is the checkpoint; name another file to write" in ended.err
    assert own.read_bytes() == before


def test_evaluate_scores_and_stores_in_the_same_manner(fastffdi, own, tiny, tmp_path):
    record, table = tmp_path / "e.json", tmp_path / "s.csv"
    storing = ("--choose-threshold", "eer", "--store", "--json", record, "--resamples", 100)
    assert fastffdi("evaluate", own, "--data", tiny, *storing, *PLAIN, *VIEWS).code == 0
    (found,) = json.loads(record.read_text())["models"]
    assert found["manner"] == "--views flip --pool logit --scales 1,2"
    assert checkpoint.read(own).decision["manner"] == found["manner"]
    words = ("predict", own, tiny / "valset", "-o", table, "--decide", *PLAIN)
    assert fastffdi(*words, *VIEWS).code == 0
    decision = Decision.from_data(checkpoint.read(own).decision)
    scored = pd.read_csv(table)
    assert scored["decision"].tolist() == decision(scored["y_pred"].to_numpy()).tolist()
    table.unlink()
    code, _, err = fastffdi(*words)
    assert (code, table.exists(), err.count("\n")) == (2, False, 1)
    assert f"the threshold in {own} is for scores with {found['manner']}, and these are of one look; " in err


def test_a_threshold_of_one_look_decides_on_no_others(fastffdi, own, best, tiny, tmp_path):
    old = Decision(0.5, "eer", 16).to_data()
    del old["manner"]  # as checkpoints had it before there were views
    checkpoint.amend(own, decision=old)
    words = (tiny / "valset", "-o", tmp_path / "s.csv", "--decide", *PLAIN)
    assert fastffdi("predict", own, *words).code == 0
    code, _, err = fastffdi("predict", own, *words, "--views", "flip")
    assert code == 2
    assert "is for scores of one look, and these are with --views flip; give the same options, or fit" in err
    assert err.endswith(f"evaluate {own} --data DIR --choose-threshold eer --store --views flip\n")
    code, _, err = fastffdi("predict", own, best, *words)
    assert (code, err) == (
        2,
        "fastffdi: --decide: a threshold holds for one checkpoint alone; give one, or leave out --decide\n",
    )


@pytest.mark.parametrize("words", [("--views", "flip"), ("--pool", "logit"), ("--scales", "0.5")])
def test_scores_that_are_there_have_no_views(fastffdi, tmp_path, words):
    code, _, err = fastffdi("evaluate", "--scores", tmp_path / "s.csv", *words)
    assert (code, err) == (
        2,
        "fastffdi: --scores: are made already; leave out --views, --pool and --scales\n",
    )

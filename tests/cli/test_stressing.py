import json

import numpy as np
import pytest
from compressed import RECIPE, SIDE, write_split

from fastffdi.demo.painting import paint_portrait
from fastffdi.inference.degradations import BIAS, STRESS

PLAIN = ("--amp", "off", "--threads", 1, "--resamples", 100)


@pytest.fixture
def evaluate(fastffdi, tiny_run, tiny, tmp_path):
    """evaluate(...): of the tiny model, with what is in the file of --json."""
    best, file = tiny_run.settings.output / "best.safetensors", tmp_path / "e.json"

    def run(*words, model=best, data=tiny):
        ended = fastffdi("evaluate", model, "--data", data, "--json", file, "--overwrite", *PLAIN, *words)
        return ended, json.loads(file.read_text())["models"][0] if ended.code == 0 else None

    return run


def test_stress_has_the_figures_of_every_degradation(evaluate):
    ended, record = evaluate("--stress", "--stress-limit", 8)
    rows = record["stress"]
    assert [(row["name"], row["strength"]) for row in rows] == [(one.name, one.strength) for one in STRESS]
    assert rows[0]["parameter"] == "quality 95"
    for row in rows:
        assert list(row["figures"]) == ["auc", "accuracy_at_threshold", "log_loss", "ece"]
        interval = row["figures"]["auc"]["interval"]
        assert interval["low"] <= row["figures"]["auc"]["value"] <= interval["high"]
    lines = ended.out.splitlines()
    assert "  8 images, all degraded; accuracy at 0.5 of scores" in lines
    assert [line.split()[0] for line in lines[-len(STRESS) :]] == [one.name for one in STRESS]
    assert "bias" not in record


def test_stress_takes_names(evaluate):
    _, record = evaluate("--stress", "noise,jpeg", "--threshold", 0.4)
    assert {row["name"] for row in record["stress"]} == {"jpeg", "noise"}


def test_bias_has_both_classes_of_every_degradation(evaluate, tiny):
    ended, record = evaluate("--bias")
    assert ended.err == ""
    few = [one for family in BIAS.values() for one in family]
    rows = record["bias"]
    assert [row["class"] for row in rows[:2]] == ["real", "fake"]
    assert [(row["name"], row["strength"]) for row in rows[::2]][: len(few)] == [
        (one.name, one.strength) for one in few
    ]
    assert list(rows[0]) == [
        *("name", "strength", "parameter", "class", "shift", "interval"),
        *("auc", "auc_change", "auc_interval", "auc_both_change"),
    ]
    facts = record["factors"]
    assert [fact["fact"] for fact in facts] == ["JPEG quality", "size", "sharpness"]
    assert facts[0]["reach"] == 0.5
    assert not any(fact["found"] for fact in facts)
    assert ended.out.splitlines()[-1] == "  no shortcut found: neither JPEG quality nor size"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["a.st", "--data", "d", "--stress", "jpg"], "unknown degradation, did you mean 'jpeg'?"),
        (["--scores", "s.csv", "--bias"], "--bias: needs images to degrade"),
        (["--scores", "s.csv", "--stress"], "--stress: needs images to degrade"),
    ],
)
def test_what_cannot_be_degraded_is_refused(fastffdi, words, problem):
    code, out, err = fastffdi("evaluate", *words)
    assert (code, out) == (2, "")
    assert problem in err


def test_of_one_class_nothing_is_compared(fastffdi, tiny_run, tiny, tmp_path):
    (tmp_path / "list.txt").write_text("img_name,target\n01.jpg,1\n03.jpg,1\n")
    best = tiny_run.settings.output / "best.safetensors"
    words = ("--labels", tmp_path / "list.txt", "--images", tiny / "valset", "--bias")
    ended = fastffdi("evaluate", best, *words, *PLAIN)
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == (
        "  --stress, --bias: need real and fake images; only one class is there"
    )


def portraits(count, seed):
    """Crops of painted portraits; every second one, a fake, is a little redder."""
    rng, made = np.random.default_rng(seed), 0
    while made < count:
        image, _ = paint_portrait(rng)
        for _ in range(8):
            y, x = (int(rng.integers(side - SIDE)) for side in image.shape[:2])
            part = image[y : y + SIDE, x : x + SIDE].astype(int)
            part[..., 0] += 10 * (made % 2)
            yield part.clip(0, 255).astype(np.uint8)
            made += 1


@pytest.mark.slow
def test_a_trained_model_shows_a_planted_shortcut_and_none_on_aligned_images(evaluate, tmp_path, fastffdi):
    verdicts = {}
    for name, real in (("planted", 95), ("aligned", 75)):
        folder = tmp_path / name
        for seed, (split, count) in enumerate((("train", 320), ("val", 160))):
            write_split(folder, split, portraits(count, seed), real, 75)
        (folder / "recipe.yaml").write_text(RECIPE)
        words = ("--backbone", "test_resnet", "--no-pretrained", "--pipeline", folder / "recipe.yaml")
        words += ("--epochs", 6, "--lr", 0.004, "--batch-size", 16, "--amp", "off", "--threads", 1)
        assert fastffdi("train", "--data", folder, *words, "-o", folder / "run").code == 0
        ended, record = evaluate("--bias", model=folder / "run" / "best.safetensors", data=folder)
        assert record["figures"]["auc"]["value"] > 0.8
        verdicts[name] = ended.out.splitlines()[-1]
    assert verdicts == {
        "planted": "  shortcut found: JPEG quality",
        "aligned": "  no shortcut found: neither JPEG quality nor size",
    }

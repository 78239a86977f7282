import re
from dataclasses import asdict
from html import unescape

import numpy as np
import pytest
from reports import HOSTILE, assessed, biased, decided, everything, made_of, reported, scored, stressed

from fastffdi.evaluation import figures
from fastffdi.evaluation.scored import Scored
from fastffdi.model.checkpoint import Checkpoint
from fastffdi.report.assessed import Assessed


def text(page):
    """What a reader sees, without the spaces between."""
    body = re.sub(r"(?s)<style>.*?</style>|<script.*?</script>", "", page)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


@pytest.fixture(scope="module")
def one():
    return assessed()


def test_every_figure_stands_there_with_its_interval_and_why_it_says_little(one):
    page = text(reported(one))
    for figure in one.figures.values():
        assert f"{figure.value:.4f} {figure.interval.low:.4f} … {figure.interval.high:.4f}" in page
        assert figure.note in page
    assert "Of 120 real and 120 fake images." in page
    assert "fastffdi evaluate --scores scores.csv" in page


def test_sections_of_what_is_not_there_are_left_out(one):
    page = text(reported(one))
    absent = ("Robustness", "Bias", "Decision fitted", "By ", "less B", "Shortcuts")
    assert [word for word in absent if word in page] == []
    assert "The images are not at hand to be shown." in page
    assert "242 images; 2 left out, as they have no score." in page


def test_sections_of_what_is_there(one):
    record = stressed() | biased() | decided(one.scored)
    page = text(reported(assessed(record=record, by="camera"), by="camera"))
    assert "Robustness: all images degraded JPEG: AUC" in page
    assert "JPEG: shift of the scores" in page
    assert "JPEG quality shortcut 95 75 0.97 +0.40 (real) size 95 75 0.97 – A shortcut" in page
    assert re.search(r"Threshold 0\.\d{4}, by eer, of calibrated scores Calibration log-odds × ", page)
    assert "From scores calibrated on these very images" in page
    worst = figures.worst(figures.groups(scored(columns=["camera"]), "camera", None, 100))
    assert f"Worst by AUC: {worst.value} ." in page


def test_several_models_have_letters_and_one_chart_of_curves():
    page = reported(assessed("a.safetensors"), assessed("b.safetensors", seed=1))
    assert text(page).count("ROC curve") == 1
    for letter in "AB":
        assert f"Model {letter}: {letter.lower()}.safetensors" in text(page)
    sets = reported(assessed("a.safetensors", "x"), assessed("a.safetensors", "y"))
    assert "B: a.safetensors on y, 120 real and 120 fake" in text(sets)


def test_one_class_alone_has_no_curves():
    labels, scores = np.ones(20, int), np.linspace(0.2, 0.9, 20)
    names = np.array([f"{k}.jpg" for k in range(20)], object)
    alone = Assessed("m", "d", Scored(names, labels, scores), figures.figures(labels, scores, None, 100))
    page = reported(alone)
    assert "One class only: there are no curves, and no Tippett plot." in text(page)
    assert "ROC curve" not in page
    assert "Reliability" in page


def test_of_a_checkpoint_it_says_how_it_was_trained_and_what_it_does_to_images(one):
    recipe = {"train": [], "eval": [{"center_crop": {"size": [128, 96]}}]}
    model = Checkpoint("resnet18", recipe, (128, 96), (0.5,), (0.25,), 3, 7)
    page = text(reported(one, models={"best.safetensors": model}))
    assert "backbone resnet18 image size 128 × 96 pixels" in page
    assert "epoch, seed 4, 7" in page
    assert "- center_crop: size: [128, 96]" in page


def test_whatever_things_are_called_the_page_is_plain_text_of_one_file(paint, tmp_path):
    page = everything(paint, tmp_path)
    page.encode("utf-8")
    assert len(page) < 3_000_000
    assert all(letter.isprintable() or letter == "\n" for letter in page)
    assert not any(name in page for name in HOSTILE[:5])
    assert re.findall(r"""(?:src|href|srcset)=["'](?!data:image/jpeg;base64,|#)""", page) == []


def test_the_policy_lets_nothing_in_but_its_own_style_and_script(one):
    page = reported(one)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    known = dict(part.split(" ", 1) for part in policy.split("; "))
    assert known["default-src"] == "'none'"
    assert known["img-src"] == "data:"
    assert all(re.fullmatch(r"'sha256-[\w+/]{43}='", known[name]) for name in ("style-src", "script-src"))


def test_the_same_is_reported_the_same(one):
    assert reported(one) == reported(one)
    assert made_of().made in reported(one)


def test_a_model_is_held_against_the_first_on_the_same_set():
    found = scored()
    apart = asdict(figures.compare(found.labels, found.scores, scored(shift=1.0).scores, resamples=100))
    models = [assessed(name, of) for of in "xy" for name in ("a.st", "b.st")]
    models[3] = assessed("b.st", "y", {"less_than_first": apart})
    assert re.search(
        r"C: a\.st on y less D: b\.st on y : AUC \+0\.\d{4}, 95 % interval", text(reported(*models))
    )

"""What a report shows beside its curves: mistakes, the data's notes, degradations, where it comes from."""

import base64
import io
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image
from reports import assessed, biased, decided, scored, stressed

from fastffdi.data.manifest import Manifest
from fastffdi.errors import RunError
from fastffdi.report import degradation
from fastffdi.report.data import notes
from fastffdi.report.provenance import source
from fastffdi.report.thumbnails import mistakes


@pytest.fixture
def images(tmp_path):
    """A noisy image for each row of `scored`, all in 30 files."""
    rng, one = np.random.default_rng(0), scored()
    for k in range(30):
        noise = rng.integers(0, 256, (200, 300, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{k}.png")
    files = np.array([f"{k % 30}.png" for k in range(len(one))], object)
    return Manifest(str(tmp_path), one.names, one.labels, files=files)


def test_mistakes_are_counted_and_the_worst_are_small_images(images):
    one = assessed(threshold=0.4)
    fakes, reals = mistakes(one, images, models=1)
    wrong = (one.scored.scores >= 0.4) != (one.scored.labels == 1)
    assert (fakes.images, reals.images) == tuple((wrong & (one.scored.labels == k)).sum() for k in (1, 0))
    assert (fakes.label, fakes.other, len(fakes.worst), len(reals.worst)) == ("fake", "real", 12, 12)
    shown = [thumb.score for thumb in reals.worst]
    assert shown == sorted(one.scored.scores[wrong & (one.scored.labels == 0)])[::-1][:12]
    decoded = Image.open(io.BytesIO(base64.b64decode(reals.worst[0].uri.partition(",")[2])))
    assert (decoded.format, decoded.size) == ("JPEG", (150, 100))


@pytest.mark.parametrize("models", [1, 2, 10, 100])
def test_however_many_models_a_page_stays_small(images, models):
    found = mistakes(assessed(), images, models)
    uris = [len(thumb.uri) for part in found for thumb in part.worst]
    assert sum(uris) * min(models, 24) < 1_800_000  # of noise, which compresses worst


def test_without_images_mistakes_are_only_counted():
    assert [(part.images > 0, part.worst) for part in mistakes(assessed(), None, 1)] == [(True, [])] * 2


def test_images_without_a_score_are_named_with_the_reason_where_it_is_known(images, tmp_path):
    (tmp_path / "3.png").write_bytes(b"")
    one, gone = scored(), np.arange(240) % 30 == 3
    found = notes("faces", one.take(~gone), images, threads=1)
    assert [(image.name, image.reason != "") for image in found.named] == [
        (name, True) for name in one.names[gone]
    ]
    assert found.images == 240 - gone.sum() + 2  # what `scored` says is left out
    assert {told.fact: told.warn for told in found.shortcuts}["width"] is False
    assert notes("faces", one, None, threads=1).shortcuts == ()


def test_a_chart_of_a_degradation_has_a_line_for_each_model_and_dashes_without_it():
    models = [assessed(record=stressed()), assessed(record=stressed(["JPEG"])), assessed()]
    charts = degradation.stress(models, ["A", "B", "C"])
    assert [chart.title.split(":")[0] for chart in charts[:2]] == ["JPEG", "JPEG"]
    assert [len(chart.legend) for chart in charts] == [2, 2, 1, 1]
    assert [mark.style for mark in charts[0].marks] == [
        *("line guide s0", "band s0", "line s0"),
        *("line guide s1", "band s1", "line s1"),
    ]
    assert [word for _, word in charts[0].x.ticks] == ["90", "70", "50"]
    assert charts[0].x.label == "strength: quality 90 … quality 50"


def test_bias_has_both_classes_around_zero():
    (chart,) = degradation.bias(assessed(record=biased()))
    assert [words for _, words in chart.legend] == ["real images alone, 60", "fake images alone, 50"]
    assert chart.y.low < 0 < 0.17 <= chart.y.high
    assert [mark.style.split()[0] for mark in chart.marks].count("whisker") == 6
    assert degradation.bias(assessed()) == []


def test_a_fitted_threshold_is_where_mistakes_are_counted_unless_it_is_of_calibrated_scores():
    assert assessed().cut == 0.5
    assert assessed(threshold=0.2).cut == 0.2
    assert assessed(record=decided(scored())).cut == 0.5
    plain = {"threshold": 0.37, "rule": "eer", "images": 9, "calibration": None, "band": None}
    assert assessed(record={"decision": plain}).cut == 0.37


def test_the_hash_is_that_of_the_file(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"x" * 3_000_000)
    assert source("label file", tmp_path / "labels.csv").sha256 == sha256(b"x" * 3_000_000).hexdigest()
    with pytest.raises(RunError, match="cannot be read for its SHA-256"):
        source("label file", tmp_path / "none.csv")

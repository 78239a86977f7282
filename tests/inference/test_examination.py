from types import SimpleNamespace

import numpy as np
import pytest
from compressed import SIDE, Smoothness, grainy, write_split

from fastffdi.data.layout import find_validation
from fastffdi.errors import DataError
from fastffdi.evaluation import metrics
from fastffdi.evaluation.calibration import Linear
from fastffdi.evaluation.decision import Decision
from fastffdi.inference.degradations import AS_IT_IS, Degradation
from fastffdi.inference.examination import Examined, Facts, versions
from fastffdi.inference.predict import Predictor
from fastffdi.inference.traits import Match
from fastffdi.loaders.settings import LoaderSettings

pytestmark = pytest.mark.usefixtures("one_thread")

JPEG = (Degradation("jpeg", 90), Degradation("jpeg", 75))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of the same images: fakes at quality 75 and reals at 95, and both at 75."""
    found = {}
    for name, real in (("planted", 95), ("aligned", 75)):
        found[name] = tmp_path_factory.mktemp(name)
        write_split(found[name], "val", grainy(60, 8), real, 75)
    return found


@pytest.fixture
def smoothness(monkeypatch):
    """smoothness(weight): a predictor whose model looks at brightness and, by the weight, at smoothness."""

    def predictor(weight):
        steps = [{"resize": {"size": [SIDE, SIDE]}}, {"normalize": {"mean": [0, 0, 0], "std": [1, 1, 1]}}]
        described = SimpleNamespace(recipe={"train": steps, "eval": steps}, decision=None)
        monkeypatch.setattr("fastffdi.inference.member.restore", lambda path: (described, Smoothness(weight)))
        loading = LoaderSettings(1, 32)
        return Predictor("any", device="cpu", amp="off", loading=loading, on_corrupt="skip")

    return predictor


def factors(predictor, folder):
    manifest = find_validation(folder)
    facts = Facts.of(manifest, LoaderSettings(1))
    examined = Examined.of(predictor, manifest, facts.degradations())
    shifted = examined.shifted(facts.degradations(), 200, 0)
    return {factor.fact: factor for factor in examined.factors(facts, shifted)}


def test_a_planted_shortcut_is_found(smoothness, folders):
    found = factors(smoothness(1), folders["planted"])
    quality = found["JPEG quality"]
    assert (quality.medians, quality.reach, quality.tells) == ((95, 75), 1, True)
    assert quality.shift.value > 0.4
    assert quality.found
    assert not found["size"].found


def test_there_is_none_on_the_same_images_aligned(smoothness, folders):
    found = factors(smoothness(1), folders["aligned"])
    assert [factor.found for factor in found.values()] == [False, False, False]
    assert found["JPEG quality"].medians == (75, 75)


def test_a_fact_that_tells_the_classes_is_none_for_a_model_that_does_not_look_at_it(smoothness, folders):
    quality = factors(smoothness(0), folders["planted"])["JPEG quality"]
    assert quality.tells
    assert abs(quality.shift.value) < 0.1
    assert not quality.found


def test_the_figures_of_versions_are_those_of_their_scores(smoothness, folders):
    predictor, manifest = smoothness(1), find_validation(folders["planted"])
    examined = Examined.of(predictor, manifest, JPEG)
    found = examined.stressed(JPEG, 0.5, 100, 0)
    assert [one.degradation for one in found] == [AS_IT_IS, *JPEG]
    scores = predictor.degraded(manifest, JPEG[1:])[:, 0]
    assert found[2].figures["auc"].value == pytest.approx(metrics.auc(manifest.labels, scores))
    assert found[0].figures["auc"].value > found[2].figures["auc"].value


def test_a_stored_calibration_is_applied_first(smoothness, folders):
    examined = Examined.of(smoothness(1), find_validation(folders["planted"]), JPEG[:1])
    decision = Decision(0.5, "eer", 60, Linear(0.1))
    plain, calibrated = (examined.stressed(JPEG[:1], 0.5, 100, 0, one)[1] for one in (None, decision))
    assert plain.figures["auc"].value == calibrated.figures["auc"].value
    assert plain.figures["log_loss"].value != calibrated.figures["log_loss"].value


def test_images_that_cannot_be_decoded_are_left_out(smoothness, tmp_path):
    write_split(tmp_path, "val", grainy(8, 8), 75, 75)
    (tmp_path / "valset" / "003.jpg").write_bytes(b"no image")
    predictor, manifest = smoothness(1), find_validation(tmp_path)
    examined = Examined.of(predictor, manifest, JPEG)
    assert examined.kept.tolist() == [0, 1, 2, 4, 5, 6, 7]
    facts = Facts.of(manifest, LoaderSettings(1))
    assert len(examined.factors(facts, [])) == 3
    with pytest.raises(DataError, match="only one class"):
        Examined.of(predictor, manifest.take(np.r_[0, 2, 3]), JPEG)


def test_each_version_is_scored_once():
    assert versions([*JPEG, JPEG[0], AS_IT_IS]) == [AS_IT_IS, *JPEG]


def test_what_a_look_for_bias_needs_goes_from_mild_to_strong():
    matches = {
        "JPEG quality": Match(0, Degradation("jpeg", 80)),
        "size": Match(1, Degradation("scale", 0.5)),
        "sharpness": Match(0, Degradation("blur", 0.7)),
    }
    assert [str(one) for one in Facts({}, matches).degradations()] == [
        *("jpeg_90", "jpeg_80", "jpeg_75", "jpeg_50"),
        *("scale_0.75", "scale_0.5"),
        *("blur_0.5", "blur_0.7", "blur_1"),
    ]

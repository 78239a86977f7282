import numpy as np
import pytest
from scipy.special import expit

from fastffdi.errors import DataError
from fastffdi.evaluation import calibration, measures
from fastffdi.evaluation.calibration import METHODS, Isotonic, Linear, cross_fitted, fit, from_data, logits


def skewed(count=4000, slope=3.0, offset=1.0, seed=0, fakes=0.5):
    """Labels, and scores whose logits are too steep and shifted against the true ones."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < fakes).astype(int)
    true = rng.normal(2 * labels - 1, np.sqrt(2))  # unit-variance LLR of a binormal model: logit = 1 · x
    return labels, expit(slope * true + offset)


def of(measure, labels, scores):
    return measure(measures.whole(labels, scores))[0]


def test_platt_undoes_slope_and_offset():
    found = fit(*skewed(), "platt")
    assert (found.slope, found.offset) == pytest.approx((1 / 3, -1 / 3), abs=0.03)


def test_temperature_undoes_a_slope_alone():
    found = fit(*skewed(offset=0.0), "temperature")
    assert (found.slope, found.offset) == (pytest.approx(1 / 3, abs=0.02), 0.0)


def test_how_many_fakes_there_are_does_not_matter():
    found = fit(*skewed(20_000, fakes=0.1), "platt")
    assert (found.slope, found.offset) == pytest.approx((1 / 3, -1 / 3), abs=0.04)


@pytest.mark.parametrize("method", METHODS)
def test_held_out_images_cost_less_and_rank_about_as_before(method):
    labels, scores = skewed()
    after = cross_fitted(labels, scores, method)
    assert of(measures.cllr, labels, after) < of(measures.cllr, labels, scores)
    assert (
        of(measures.ece, labels, after) < of(measures.ece, labels, scores) - (method != "temperature") * 0.05
    )
    assert of(measures.auc, labels, after) == pytest.approx(of(measures.auc, labels, scores), abs=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_it_comes_back_from_plain_data(method):
    labels, scores = skewed(500)
    found = fit(labels, scores, method)
    assert from_data(found.to_data()) == found
    values = found(np.array([0.0, 0.3, 0.9, 1.0]))
    assert (np.diff(values) >= 0).all()
    assert ((values >= 0) & (values <= 1)).all()


def test_classes_without_overlap_have_a_finite_slope():
    labels = np.repeat([0, 1], 20)
    found = fit(labels, np.where(labels == 1, 0.9, 0.2), "platt")
    assert np.isfinite(found.slope)
    assert found(np.array([0.2]))[0] < 0.01
    assert found(np.array([0.9]))[0] > 0.99


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": "linear", "slope": "1", "offset": 0},
        {"kind": "linear", "slope": float("nan"), "offset": 0.0},
        {"kind": "isotonic", "scores": [0.5, 0.1], "values": [0, 1]},
        {"kind": "isotonic", "scores": [0.1], "values": [2]},
        {"kind": "isotonic", "scores": [], "values": []},
        {"kind": "other"},
    ],
)
def test_other_data_is_refused(data):
    with pytest.raises(ValueError, match=r"calibration: .* is none"):
        from_data(data)


def test_too_few_images_are_refused():
    with pytest.raises(DataError, match="3 real and 20 fake images are too few; give at least 10 of each"):
        fit(np.repeat([0, 1], [3, 20]), np.full(23, 0.5), "platt")


def test_logits_are_finite():
    assert logits(np.array([0.0, 0.5, 1.0])) == pytest.approx([-16.118, 0, 16.118], abs=1e-3)


def test_straight_lines_between_knots():
    line = Isotonic((0.2, 0.6), (0.1, 0.5))
    assert line(np.array([0.0, 0.4, 1.0])) == pytest.approx([0.1, 0.3, 0.5])
    assert Linear(2.0, 0.0)(np.array([0.5])) == pytest.approx([0.5])
    assert calibration.FEWEST == 10

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fastffdi.training import curves
from fastffdi.training.result import EMA, RAW, EpochResult

FIRST = EpochResult(0, 0.7, 0.5, 100.0, 0.1, 1e-3, {"auc": 0.6, "log_loss": 0.65})


def drawn(path, *epochs, title="resnet · $standard$"):
    curves.save(path, title, epochs, max(epochs, key=lambda epoch: epoch.validation["auc"] or 0))
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def extent(pixels, colour):
    return np.argwhere((pixels == [int(colour[k : k + 2], 16) for k in (1, 3, 5)]).all(axis=2))


def test_it_shows_the_epochs(tmp_path):
    second = replace(FIRST, epoch=1, train_loss=0.4, validation={"auc": 0.9, "log_loss": 0.5})
    pixels = drawn(tmp_path / "curves.png", FIRST, second)
    assert pixels.shape == (900, 1350, 3)
    height, width = (side // 2 for side in pixels.shape[:2])
    # The best epoch is marked in the second panel alone; learning rate and speed are in the lower two.
    best = extent(pixels, curves._BEST)
    assert len(best) > 50
    assert (best[:, 0] < height).all()
    assert (best[:, 1] > width).all()
    training = extent(pixels, curves._TRAINING)
    panels = {(y > height, x > width) for y, x in training}
    assert panels == {(False, False), (True, False), (True, True)}
    # The highest point of the speed has room above it.
    assert min(y for y, x in training if y > height and x > width) > height + 60


def test_one_epoch_and_undefined_figures_are_drawn_too(tmp_path):
    pixels = drawn(tmp_path / "a.png", replace(FIRST, validation={"auc": None, "log_loss": None}))
    assert len(extent(pixels, curves._BEST)) == 0
    assert len(extent(pixels, curves._TRAINING)) > 0


def test_the_style_of_the_user_is_left_alone(tmp_path):
    import matplotlib

    with matplotlib.rc_context({"axes.facecolor": "black"}):
        assert len(extent(drawn(tmp_path / "a.png", FIRST), "#000000")) < 20_000
        assert matplotlib.rcParams["axes.facecolor"] == "black"


@pytest.mark.parametrize("there", [True, False])
def test_without_matplotlib_nothing_can_be_drawn(monkeypatch, there):
    monkeypatch.setattr(curves, "find_spec", lambda name: object() if there else None)
    assert curves.can_be_drawn() is there


def test_weights_and_their_average_have_a_line_each(tmp_path):
    both = {RAW: 0.6, EMA: 0.7}
    epochs = [replace(FIRST, epoch=k, aucs=both) for k in range(3)]
    pixels = drawn(tmp_path / "a.png", *epochs)
    height, width = (side // 2 for side in pixels.shape[:2])
    corner = pixels[:height, width:]
    assert len(extent(corner, curves._TRAINING)) > 100
    assert len(extent(corner, curves._VALIDATION)) > 100

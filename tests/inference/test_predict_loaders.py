"""The images that a predictor is given, and its loader, mostly with scores that can be worked out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from predictors import predictor_of, scored

from fastffdi.data.layout import plain_folder
from fastffdi.inference import predict
from fastffdi.inference.predict import Predictor
from fastffdi.loaders import factory
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.dali import DaliLoader
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.loaders.torchvision import TorchvisionLoader
from fastffdi.model import checkpoint
from fastffdi.training.folder import BEST

pytestmark = pytest.mark.usefixtures("one_thread")


def means(paths):
    """The mean pixel value of each image, over 255, as Pillow decodes it."""
    return np.array([np.asarray(Image.open(path)).mean() for path in paths]) / 255


@pytest.mark.parametrize("backend", ["cpu", "dali", "torchvision"])
@pytest.mark.parametrize(
    ("amp", "shown", "off_by"),
    [("off", (torch.float32, False), 4e-3), ("bf16", (torch.bfloat16, True), 1e-2)],
)
def test_scores_are_those_of_the_images_with_every_loader(lit, brightness, backend, amp, shown, off_by):
    expected = means(lit / f"{k}.jpg" for k in range(6))
    assert np.ptp(expected) > 0.85
    scores = predictor_of("any", backend, batch_size=4, amp=amp)(lit)
    np.testing.assert_allclose(scores, expected, atol=off_by)
    assert brightness.shown == {shown}


def test_images_are_given_as_a_folder_as_files_or_as_a_manifest(lit, brightness):
    predictor = predictor_of("any")
    files = [lit / f"{k}.jpg" for k in (3, 0, 5)]
    for given in (files, [str(file) for file in files], tuple(files), plain_folder(lit).take(np.r_[3, 0, 5])):
        np.testing.assert_allclose(predictor(given), means(files), atol=4e-3)
    for given in (lit, str(lit)):
        assert predictor(given).shape == (6,)
    for given in (files[0], str(files[0])):
        np.testing.assert_allclose(predictor(given), means(files[:1]), atol=4e-3)


@pytest.fixture
def built(monkeypatch):
    """The backends that are built."""
    seen, build = [], factory.build_loader
    monkeypatch.setattr(factory, "build_loader", lambda *given: (seen.append(build(*given)), seen[-1])[1])
    return seen


@pytest.mark.parametrize(
    ("given", "backend", "decoder"),
    [
        ({}, CpuLoader, "SourceDecoder"),
        ({"backend": "torchvision"}, TorchvisionLoader, "SourceDecoder"),
        ({"backend": "dali"}, DaliLoader, "SourceDecoder"),
        ({"cache": "kept"}, CpuLoader, "CachedDecoder"),
        ({"loading": LoaderSettings(1, 4, process=True)}, ProcessLoader, "SourceDecoder"),
    ],
)
def test_loader_and_decoder_are_the_ones_asked_for(
    lit, brightness, built, tmp_path, monkeypatch, given, backend, decoder
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(predict, "pooled", lambda *given: iter(()))  # before a child process has to start
    options = {"device": "cpu", "amp": "off", "loading": LoaderSettings(1, 4)} | given
    Predictor("any", **options)(lit)
    assert [type(loader) for loader in built] == [backend]
    planner = built[0].planner
    assert (type(planner.decoder).__name__, planner.batch_size) == (decoder, 4)
    assert (tmp_path / "kept").is_dir() == ("cache" in given)


def test_a_cache_is_filled_and_gives_the_same_scores(lit, brightness, tmp_path):
    predictor = Predictor("any", device="cpu", amp="off", cache=str(tmp_path))
    for _ in range(2):
        np.testing.assert_allclose(predictor(lit), means(lit / f"{k}.jpg" for k in range(6)), atol=4e-3)


@pytest.mark.parametrize("scaled", [False, True])
def test_images_are_decoded_scaled_where_the_checkpoint_says_so(tiny_run, val, built, tmp_path, scaled):
    described, model = checkpoint.restore(tiny_run.settings.output / BEST)
    recipe = described.recipe | ({"decode": {"scaled": True}} if scaled else {})
    checkpoint.save(replace(described, recipe=recipe), model, tmp_path / "model.safetensors")
    scored(tmp_path / "model.safetensors", val)
    assert built[0].planner.decoder.scaled is scaled


def test_images_get_the_steps_for_evaluation(tiny_run, val, built):
    scored(tiny_run.settings.output / BEST, val)
    assert [step.name() for step in built[0].planner.steps] == ["resize", "normalize"]


def test_the_loader_is_closed_after_the_last_image(lit, brightness, built, monkeypatch):
    closed, close = [], CpuLoader.close
    monkeypatch.setattr(CpuLoader, "close", lambda self: (closed.append(self), close(self))[1])
    predictor_of("any")(lit)
    assert closed == built

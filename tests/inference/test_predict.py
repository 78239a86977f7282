import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from predictors import predictor_of, scored

from fastffdi.data.layout import find_dataset, plain_folder
from fastffdi.errors import SettingError, UndecodableImage
from fastffdi.inference.predict import Predictor
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model import checkpoint
from fastffdi.render.cpu.decode import decode_path

pytestmark = pytest.mark.usefixtures("one_thread")


def test_scores_differ_and_are_probabilities(expected):
    assert expected.shape == (16,)
    assert expected.dtype == np.float64
    assert 0 < expected.min() < expected.max() < 1


def test_a_score_is_the_models_own_of_the_image_alone(best, val, expected):
    described, model = checkpoint.restore(best)
    image = torch.from_numpy(decode_path(val.paths()[3])).permute(2, 0, 1)[None].float()
    small = torch.nn.functional.interpolate(image, described.size, mode="bilinear", antialias=True).round()
    mean, std = (torch.tensor(values)[:, None, None] for values in (described.mean, described.std))
    with torch.no_grad():
        score = model((small / 255 - mean) / std).softmax(dim=1)[0, 1]
    assert score.item() == pytest.approx(expected[3], abs=2e-3)


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (5, 2), (16, 4), (64, 2)])
def test_neither_batch_size_nor_threads_matter(best, val, expected, batch_size, threads):
    found = scored(best, val, threads=threads, batch_size=batch_size)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_scores_stand_in_the_order_of_the_rows(best, val, expected):
    turned = val.take(np.arange(16)[::-1])
    np.testing.assert_allclose(scored(best, turned), expected[::-1], atol=1e-5)


def test_an_image_listed_twice_is_scored_twice(best, val, expected):
    rows = np.array([4, 4, 9, 4])
    np.testing.assert_allclose(scored(best, val.take(rows)), expected[rows], atol=1e-5)


def test_labels_are_not_needed(best, tiny, expected):
    found = plain_folder(tiny / "valset")
    assert found.labels is None
    np.testing.assert_allclose(scored(best, found), expected, atol=1e-5)


def test_progress_counts_every_image(best, val):
    seen = []
    predictor_of(best, batch_size=6)(val, seen.append)
    assert seen == [6, 6, 4]


def test_an_image_that_cannot_be_decoded_is_named(best, tiny, tmp_path):
    shutil.copytree(tiny / "valset", tmp_path / "copy")
    (tmp_path / "copy" / "05.jpg").write_bytes(b"no image")
    with pytest.raises(UndecodableImage, match=r"05\.jpg: cannot be decoded"):
        scored(best, plain_folder(tmp_path / "copy"))


@pytest.mark.parametrize(
    "loader", ["cpu", "cached", pytest.param("process", marks=pytest.mark.slow), "dali", "torchvision"]
)
def test_a_tenth_that_cannot_be_decoded_have_no_score_and_all_others_have_their_own(
    best, tiny, tmp_path, loader
):
    shutil.copytree(tiny, tmp_path / "data")
    images = find_dataset(tmp_path / "data").train
    backend = {"cached": "cpu", "process": "cpu"}.get(loader, loader)

    def scores(cache):
        predictor = Predictor(
            best,
            device="cpu",
            backend=backend,
            loading=LoaderSettings(2, 8, process=loader == "process"),
            cache=tmp_path / cache if loader == "cached" else None,
            on_corrupt="skip",
        )
        return predictor(images), predictor.reasons

    clean, none = scores("clean")
    assert not np.isnan(clean).any()
    assert none == {}
    bad = [3, 12, 13, 30]
    for k, path in enumerate(map(Path, images.paths(np.array(bad)))):
        half = path.read_bytes()[: path.stat().st_size // 2]
        path.unlink()
        if k:  # the first has gone
            path.write_bytes([b"", b"no image", half][k - 1])
    found, reasons = scores("spoilt")
    assert sorted(reasons) == sorted(images.names[bad])
    assert np.flatnonzero(np.isnan(found)).tolist() == bad
    others = np.setdiff1d(np.arange(len(images)), bad)
    assert found[others].tolist() == clean[others].tolist()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"device": "cuda"}, "--device cuda: "),
        (
            {"backend": "torchvision", "cache": "kept"},
            "--cache: goes with --loader cpu, not with torchvision",
        ),
        ({"backend": "dali", "loading": LoaderSettings(process=True)}, "--loader-process: goes with"),
        ({"amp": "fp16"}, "--amp fp16: needs a CUDA device"),
    ],
)
def test_what_does_not_fit_the_machine_is_refused(brightness, monkeypatch, given, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingError, match=f"^{message}"):
        Predictor("any", **{"device": "cpu"} | given)

"""Scores of several models, and how often images are decoded for them."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from predictors import viewed

from fastffdi.data.layout import find_dataset
from fastffdi.errors import SettingError
from fastffdi.inference import predict
from fastffdi.inference.predict import Predictor
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model import checkpoint, compilation
from fastffdi.render.cpu import decode

pytestmark = pytest.mark.usefixtures("one_thread")


def amended(best, path, seed, evaluation=None, mean=(0.4, 0.5, 0.6), **more):
    """Another model at the path: other weights in its head, and another recipe."""
    described, model = checkpoint.restore(best)
    torch.manual_seed(seed)
    torch.nn.init.normal_(model.get_classifier().weight, std=0.3)
    steps = evaluation or [{"resize": {"size": [32, 32]}}]
    end = {"normalize": {"mean": list(mean), "std": [0.2, 0.25, 0.3]}}
    recipe = described.recipe | {"eval": [*steps, end], **more}
    checkpoint.save(replace(described, recipe=recipe), model, path)
    return path


@pytest.fixture(scope="module")
def models(best, tmp_path_factory):
    """Three checkpoints: as the tiny one, with another mean, and with another size and crop."""
    folder = tmp_path_factory.mktemp("models")
    cut = [{"resize": {"size": 40}}, {"center_crop": {"size": 36}}]
    return [
        amended(best, folder / "a.safetensors", 1),
        amended(best, folder / "b.safetensors", 2, mean=(0.1, 0.2, 0.3)),
        amended(best, folder / "c.safetensors", 3, cut),
    ]


@pytest.fixture
def decoded(monkeypatch):
    """The paths of the files that the cpu loader decodes."""
    seen, real = [], decode.decode_path
    monkeypatch.setattr(decode, "decode_path", lambda path, *more: (seen.append(path), real(path, *more))[1])
    return seen


@pytest.mark.parametrize("backend", ["cpu", "dali", "torchvision"])
def test_an_ensemble_is_the_mean_of_its_models_each_with_its_own_preprocessing(models, val, backend):
    each = [viewed(model, val, backend=backend) for model in models]
    assert min(np.abs(each[k] - each[k - 1]).max() for k in range(3)) > 0.01
    np.testing.assert_allclose(viewed(models, val, backend=backend), np.mean(each, axis=0), atol=1e-6)


def test_logits_are_pooled_over_models_too(models, val):
    odds = [np.log(p) - np.log1p(-p) for p in (viewed(model, val) for model in models)]
    found = viewed(models, val, pool="logit")
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-np.mean(odds, axis=0))), atol=1e-5)


@pytest.mark.parametrize("views", ["five_crop", "random:2"])
def test_an_ensembles_models_each_have_their_views(models, val, views):
    each = [viewed(model, val, views=views, pool="topk:2") for model in models]
    found = viewed(models, val, views=views, pool="topk:2")
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-6)


@pytest.mark.parametrize(
    ("count", "more", "loaders"),
    [
        (1, {}, 1),
        (2, {}, 1),  # whose recipes differ in the mean alone
        (3, {}, 2),
        (3, {"views": "ten_crop"}, 2),
        (1, {"views": "random:5"}, 1),
        (3, {"views": "random:3"}, 1),
        (3, {"scales": (1, 2), "views": "flip"}, 4),
        (3, {"batch_size": 3}, 2),
    ],
)
def test_every_image_is_decoded_once_for_all(models, val, decoded, monkeypatch, count, more, loaders):
    built, build = [], predict.factory.build_loader
    monkeypatch.setattr(
        predict.factory, "build_loader", lambda *given: (built.append(given), build(*given))[1]
    )
    rows = np.array([0, 3, 3, 5, 7, 8, 9, 12])
    viewed(models[:count], val.take(rows), **more)
    assert sorted(decoded) == sorted(val.take(rows).paths())
    assert len(built) == loaders


def test_what_memory_has_no_room_for_is_decoded_again_and_scored_the_same(models, val, decoded):
    alike = viewed(models, val)
    decoded.clear()
    loading = LoaderSettings(1, 8, memory_cap=1e-6)
    found = Predictor(models, device="cpu", amp="off", backend="cpu", loading=loading)(val)
    np.testing.assert_allclose(found, alike, atol=1e-6)
    assert len(val) < len(decoded) <= 2 * len(val)


def test_images_that_are_decoded_scaled_are_decoded_for_each(best, val, tmp_path, decoded):
    scaled = {"decode": {"scaled": True}}
    one = amended(best, tmp_path / "one.safetensors", 1, **scaled)
    other = amended(best, tmp_path / "two.safetensors", 2, [{"resize": {"size": [16, 16]}}], **scaled)
    found = viewed([one, other], val)
    assert len(decoded) == 2 * len(val)
    np.testing.assert_allclose(found, (viewed(one, val) + viewed(other, val)) / 2, atol=1e-6)


@pytest.mark.parametrize("views", [None, "flip", "random:2"])
@pytest.mark.parametrize("loader", ["cpu", "cached", "dali", pytest.param("process", marks=pytest.mark.slow)])
def test_a_corrupt_image_has_no_score_and_all_others_their_own(models, tiny, loader, views, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "copy")
    images = find_dataset(copy).val
    backend = {"cached": "cpu", "process": "cpu"}.get(loader, loader)

    def scores(part):
        loading = LoaderSettings(2, 6, process=loader == "process")
        cache = tmp_path / "cache" if loader == "cached" else None
        predictor = Predictor(
            models, device="cpu", amp="off", backend=backend, loading=loading, cache=cache,
            on_corrupt="skip", views=views,
        )  # fmt: skip
        return predictor(part), predictor.reasons

    clean, none = scores(images)
    assert none == {}
    assert not np.isnan(clean).any()
    (copy / "valset" / "03.jpg").write_bytes(b"no image")
    found, reasons = scores(images)
    assert list(reasons) == ["03.jpg"]
    assert np.flatnonzero(np.isnan(found)).tolist() == [3]
    np.testing.assert_allclose(np.delete(found, 3), np.delete(clean, 3), atol=1e-6)


def test_a_cache_has_each_size_and_decodes_no_more(models, val, decoded, tmp_path):
    more = {"cache": tmp_path, "views": "random:2", "scales": (1, 2)}
    plain = viewed(models, val, views="random:2", scales=(1, 2))
    first = viewed(models, val, **more)
    decoded.clear()
    np.testing.assert_allclose(viewed(models, val, **more), first, atol=1e-6)
    np.testing.assert_allclose(first, plain, atol=1e-6)
    assert decoded == []


def test_models_are_compiled_for_the_views_of_each_size(models, val, monkeypatch):
    monkeypatch.setattr(compilation, "_backend", lambda device: {"backend": "aot_eager", "fullgraph": True})
    given, compiled = [], predict.compiled_forward
    monkeypatch.setattr(predict, "compiled_forward", lambda *all: (given.append(all[1:]), compiled(*all))[1])
    more = {"views": "flip", "scales": (1, 2), "batch_size": 9}
    plain = viewed(models[0], val, **more)
    np.testing.assert_allclose(viewed(models[0], val, compile=True, **more), plain, atol=1e-5)
    assert given == [(torch.device("cpu"), 8)] * 2  # four images, each in two views


def test_a_batch_is_no_more_than_its_size_for_the_model(best, val):
    seen = []
    predictor = Predictor(best, device="cpu", amp="off", loading=LoaderSettings(1, 23), views="ten_crop")
    predictor._members[0].forward.model.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    counted = []
    predictor(val, counted.append)
    assert (seen, counted) == ([20] * 8, [2] * 8)


def test_an_ensemble_of_none_is_refused():
    with pytest.raises(SettingError, match=r"^checkpoint: none is given"):
        Predictor([], device="cpu")

import numpy as np
import pytest
from PIL import Image
from predictors import predictor_of

from fastffdi.data.layout import plain_folder
from fastffdi.errors import UndecodableImage
from fastffdi.inference import degraded
from fastffdi.inference.degradations import MILD, Degradation
from fastffdi.inference.degraded import DegradedDecoder, versions
from fastffdi.inference.predict import Predictor
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model.backbone import build, load_recipe
from fastffdi.model.checkpoint import Checkpoint, save
from fastffdi.recipe.program import EMPTY
from fastffdi.render.cpu.decode import DECODER, SourceDecoder, decode_path

pytestmark = pytest.mark.usefixtures("one_thread")

TWO = (Degradation("crop", 0.5), Degradation("screenshot", 1.5))


def test_a_row_is_an_image_in_one_version(lit):
    decoder, path = DegradedDecoder(DECODER, TWO), str(lit / "1.jpg")
    for version, degradation in enumerate(TWO):
        image = decoder(2 + version, path, EMPTY, EMPTY, 0)
        np.testing.assert_array_equal(image, degradation(decode_path(path)))


def test_an_image_is_decoded_once_for_versions_in_a_row(lit, monkeypatch):
    decoded, call = [], SourceDecoder.__call__
    monkeypatch.setattr(
        SourceDecoder, "__call__", lambda self, *given: (decoded.append(given[1]), call(self, *given))[1]
    )
    monkeypatch.setattr(degraded._OF_THREAD, "kept", None, raising=False)
    decoder, paths = DegradedDecoder(DECODER, MILD), [str(lit / f"{k}.jpg") for k in (0, 1)]
    for row in range(16):
        decoder(row, paths[row // 8], EMPTY, EMPTY, 0)
    assert decoded == paths


def test_noise_depends_on_image_and_seed(lit):
    path, noise = str(lit / "0.jpg"), (Degradation("noise", 5),)
    images = [
        DegradedDecoder(DECODER, noise, seed)(row, path, EMPTY, EMPTY, 0)
        for seed, row in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).any()
    assert (images[0] != images[3]).any()


def test_versions_have_the_sizes_that_they_will_have(image_files):
    rows = versions(image_files, TWO)
    assert rows.names.tolist() == np.repeat(image_files.names, 2).tolist()
    expected = [np.rint(image_files.sizes * factor) for factor in (0.5, 1.5)]
    np.testing.assert_array_equal(rows.sizes[0::2], expected[0])
    np.testing.assert_array_equal(rows.sizes[1::2], expected[1])


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("threads", [1, 3])
def test_scores_are_those_of_degraded_images(lit, brightness, batch_size, threads):
    scores = predictor_of("any", batch_size=batch_size, threads=threads).degraded(lit, TWO)
    paths = [str(lit / f"{k}.jpg") for k in range(6)]
    expected = [[one(decode_path(path)).mean() / 255 for one in TWO] for path in paths]
    np.testing.assert_allclose(scores, expected, atol=4e-3)


def test_a_recipe_that_needs_sizes_gets_those_of_the_versions(tmp_path, paint):
    for k in range(3):
        Image.fromarray(paint(150 + 40 * k, 200, k)).save(tmp_path / f"{k}.png")
    recipe, model = load_recipe("demo").to_data(), build("test_resnet", pretrained=False)
    described = Checkpoint("test_resnet", recipe, (128, 128), (0.5,) * 3, (0.5,) * 3, epoch=0, seed=0)
    save(described, model, tmp_path / "model.safetensors")
    predictor = predictor_of(tmp_path / "model.safetensors")
    scores = predictor.degraded(tmp_path, [Degradation("crop", 1), Degradation("scale", 0.5)])
    np.testing.assert_allclose(scores[:, 0], predictor(tmp_path), atol=1e-6)
    assert np.isfinite(scores).all()


def test_the_loaders_in_a_child_process_gives_the_same(lit, brightness):
    loading = LoaderSettings(1, 4, process=True)
    own = Predictor("any", device="cpu", amp="off", backend="cpu", loading=loading)
    expected = predictor_of("any").degraded(lit, TWO)
    np.testing.assert_allclose(own.degraded(lit, TWO), expected, atol=1e-6)


def test_an_image_that_cannot_be_decoded_fails_or_is_nan(lit, brightness, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    (tmp_path / "b.jpg").write_bytes((lit / "0.jpg").read_bytes())
    images = plain_folder(tmp_path)
    with pytest.raises(UndecodableImage, match=r"a\.jpg"):
        predictor_of("any").degraded(images, TWO)
    predictor = Predictor("any", device="cpu", amp="off", on_corrupt="skip")
    scores = predictor.degraded(images, TWO)
    assert np.isnan(scores).all(axis=1).tolist() == [True, False]
    assert list(predictor.reasons) == ["a.jpg"]

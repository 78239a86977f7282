import numpy as np
import pytest
from PIL import Image

from fastffdi.data.manifest import Manifest
from fastffdi.inference.degradations import Degradation
from fastffdi.inference.traits import QUALITY, SHARPNESS, SIZE, Match, match, medians, sharpness, traits

LABELS = np.arange(6) % 2


@pytest.fixture
def saved(tmp_path, paint):
    """saved(suffixes, qualities, sides, blurs): a manifest of images, real and fake in turn."""

    def save(suffixes=("jpg", "jpg"), qualities=(90, 90), sides=(64, 64), blurs=(0, 0)):
        grain = np.random.default_rng(0).integers(0, 80, (200, 200, 3)).astype(np.uint8)
        names = [f"{k}.{suffixes[k % 2]}" for k in range(6)]
        for k, name in enumerate(names):
            image, side = grain + paint(200, 200, k) // 2, sides[k % 2]
            if blurs[k % 2]:
                image = Degradation("blur", blurs[k % 2])(image)
            Image.fromarray(image[:side, :side]).save(tmp_path / name, quality=qualities[k % 2])
        return Manifest(str(tmp_path), np.array(names, object), LABELS)

    return save


def matched(manifest, fact):
    return match(fact, LABELS, traits(manifest, 1)[fact], manifest)


def test_facts_of_files_and_pixels(saved):
    found = traits(saved(("jpg", "png"), (75, 75), (64, 100)), 1)
    assert found[QUALITY].tolist() == [75, 100, 75, 100, 75, 100]
    assert found[SIZE].tolist() == [64, 100, 64, 100, 64, 100]
    assert (found[SHARPNESS] > 5).all()
    assert medians(LABELS, found[SIZE]) == (64, 100)


def test_of_an_image_that_cannot_be_decoded_nothing_is_known(saved):
    manifest = saved()
    (path, *_) = manifest.paths()
    with open(path, "wb") as file:
        file.write(b"no image")
    for values in traits(manifest, 2).values():
        assert np.isnan(values).tolist() == [True] + 5 * [False]


def test_the_higher_quality_is_lowered_to_the_other(saved):
    assert matched(saved(qualities=(95, 75)), QUALITY) == Match(0, Degradation("jpeg", 75))
    assert matched(saved(qualities=(60, 80)), QUALITY) == Match(1, Degradation("jpeg", 60))
    assert matched(saved(("jpg", "png"), (70, 70)), QUALITY) == Match(1, Degradation("jpeg", 70))


def test_the_larger_images_are_scaled_to_the_others_size(saved):
    assert matched(saved(sides=(128, 64)), SIZE) == Match(0, Degradation("scale", 0.5))


def test_the_sharper_images_are_blurred_until_they_are_as_the_others(saved):
    label, degradation = matched(saved(("png", "png"), blurs=(1.2, 0)), SHARPNESS)
    assert (label, degradation.name) == (1, "blur")
    assert degradation.strength == pytest.approx(1.2, abs=0.11)


def test_the_same_fact_in_both_classes_needs_no_match(saved):
    manifest = saved()
    assert matched(manifest, QUALITY) is None
    assert matched(manifest, SIZE) is None


def test_a_fact_that_is_known_of_one_class_only_has_no_match(saved):
    values = np.where(LABELS == 0, np.nan, 75.0)
    assert match(QUALITY, LABELS, values, saved()) is None
    assert np.isnan(medians(LABELS, values)).tolist() == [True, False]


def test_sharpness_is_that_of_the_middle():
    image = np.zeros((2000, 1200, 3), np.uint8)
    image[::2, :10] = 255
    assert sharpness(image) == 0

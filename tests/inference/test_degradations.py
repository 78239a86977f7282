import io
import pickle

import numpy as np
import pytest
from PIL import Image

from fastffdi.inference.degradations import AS_IT_IS, MILD, STRESS, Degradation

ALL = sorted({*MILD, *STRESS, Degradation("scale", 0.5)}, key=str)


@pytest.fixture
def image(paint):
    return paint(90, 130, 3)


def off(one, other):
    return np.abs(one.astype(int) - other).mean()


@pytest.mark.parametrize("degradation", ALL, ids=str)
def test_the_image_has_the_size_that_is_said_and_stays_untouched(image, degradation):
    before = image.copy()
    changed = degradation(image)
    assert changed.dtype == np.uint8
    assert changed.shape[2] == 3
    assert [changed.shape[:2]] == [tuple(row) for row in degradation.sizes(np.array([[90, 130]])).tolist()]
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(degradation(image), changed)


@pytest.mark.parametrize("name", ["jpeg", "double_jpeg", "webp", "blur", "resize", "noise"])
def test_more_of_it_changes_more(paint, name):
    image = (
        np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8) // 4 + paint(64, 64, 1) // 2
    )
    changes = [off(one(image), image) for one in STRESS if one.name == name]
    assert changes == sorted(changes)
    assert changes[0] > 0


def test_jpeg_is_what_pillow_makes(image):
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=50, subsampling="4:2:0")
    np.testing.assert_array_equal(Degradation("jpeg", 50)(image), np.asarray(Image.open(data)))


def test_webp_is_nearly_what_pillow_makes(image):
    data = io.BytesIO()
    Image.fromarray(image).save(data, "WEBP", quality=50)
    assert off(Degradation("webp", 50)(image), np.asarray(Image.open(data))) < 1


def test_an_image_too_long_for_webp_is_compressed_in_parts():
    image = np.full((4, 16_400, 3), 100, np.uint8)
    assert off(Degradation("webp", 80)(image), image) < 2


def test_noise_follows_from_the_key_and_has_its_deviation():
    grey, noise = np.full((80, 80, 3), 128, np.uint8), Degradation("noise", 5)
    assert np.std(noise(grey, 1).astype(int)) == pytest.approx(5, abs=0.2)
    np.testing.assert_array_equal(noise(grey, 1), noise(grey, 1))
    assert off(noise(grey, 1), noise(grey, 2)) > 3


def test_crop_keeps_the_middle(image):
    np.testing.assert_array_equal(Degradation("crop", 0.5)(image), image[22:67, 32:97])


def test_enlarging_adds_pixels_to_the_shorter_side(image):
    assert Degradation("enlarge", 64)(image).shape == (154, 222, 3)


def test_a_screenshot_is_larger_and_brighter(image):
    shown = Degradation("screenshot", 1.5)(image)
    assert shown.shape == (135, 195, 3)
    assert 2 < shown.mean() - image.mean() < 8


def test_the_mild_ones_are_eight_with_names_of_their_own():
    assert [str(one) for one in MILD] == [
        "jpeg_90",
        "jpeg_70",
        "jpeg_50",
        "resize_0.5",
        "blur_1",
        "crop_0.9",
        "enlarge_64",
        "webp_80",
    ]


def test_a_degradation_travels_to_child_processes(image):
    degradation = pickle.loads(pickle.dumps(Degradation("jpeg", 75)))
    assert (degradation, degradation.parameter) == (Degradation("jpeg", 75), "quality 75")


def test_an_image_as_it_is_stays_the_same(image):
    np.testing.assert_array_equal(AS_IT_IS(image), image)

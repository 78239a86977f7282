import numpy as np

from fastffdi.data.manifest import Manifest
from fastffdi.evaluation.scored import Scored
from fastffdi.preview.mistakes import small, worst, wrong


def test_the_wrong_ones_are_beyond_the_threshold():
    scored = Scored(np.array(["a", "b", "c"], object), np.array([0, 0, 1]), np.array([0.4, 0.39, 0.4]))
    assert wrong(scored, 0).tolist() == [False, False, False]
    assert wrong(scored, 0, 0.4).tolist() == [True, False, False]
    assert wrong(scored, 1, 0.41).tolist() == [False, False, True]


def test_the_worst_come_first_and_those_that_are_not_there_are_left_out(image_files):
    names = np.array([*image_files.names[:4], "elsewhere.jpg"], object)
    scored = Scored(names, np.array([0, 1, 0, 0, 0]), np.array([0.7, 0.1, 0.9, 0.8, 1.0]))
    images = Manifest(image_files.root, image_files.names)
    found = worst(scored, images, 0, most=2, side=32)
    assert [(one.name, one.score) for one in found] == [("02.jpg", 0.9), ("03.jpg", 0.8)]
    assert max(found[0].image.shape) == 32


def test_small_images_keep_their_shape_and_are_never_enlarged():
    assert small(np.zeros((100, 50, 3), np.uint8), 20).shape == (20, 10, 3)
    assert small(np.zeros((10, 5, 3), np.uint8), 20).shape == (10, 5, 3)

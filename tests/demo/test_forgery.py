"""Pairs of the demo set: equal in all that a file says about itself, different in the face."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from fastffdi.demo.forgery import make_pair


def test_both_files_weigh_about_the_same_and_neither_is_always_the_heavier():
    pairs = [make_pair(np.random.default_rng([7, pair])) for pair in range(24)]
    excess = np.array([len(fake) / len(real) - 1 for real, fake in pairs])
    assert np.median(np.abs(excess)) < 0.02
    assert 0.2 < (excess > 0).mean() < 0.8


def test_both_files_have_the_same_size_and_quantization():
    for pair in range(4):
        real, fake = (Image.open(io.BytesIO(file)) for file in make_pair(np.random.default_rng([8, pair])))
        assert real.size == fake.size
        assert real.quantization == fake.quantization


def test_the_images_differ_most_within_the_face():
    pair = make_pair(np.random.default_rng(1))
    real, fake = (np.asarray(Image.open(io.BytesIO(file)), np.float32) for file in pair)
    change = np.abs(real - fake).mean(axis=2)
    height, width = change.shape
    middle = change[height * 2 // 5 : height * 3 // 5, width * 2 // 5 : width * 3 // 5]
    border = np.concatenate([change[:, : width // 10], change[:, -width // 10 :]], axis=1)
    assert middle.mean() > 1.5 * border.mean()


def test_the_same_generator_state_gives_the_same_files():
    assert make_pair(np.random.default_rng(2)) == make_pair(np.random.default_rng(2))

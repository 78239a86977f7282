import numpy as np
import pytest
from PIL import Image
from planted import encoded, photo

from fastffdi.audit.looks import NEAR_BITS, described, thumbnail
from fastffdi.render.cpu.decode import decode

#: What imagehash 4.3.2 says of these 32×32 pixels: `phash(Image.fromarray(thumbnail(photo(seed))))`.
IMAGEHASH = {1: "fc4ebc59495798a0", 2: "8af69a9a3d626a29", 3: "beb914610b57f207", 4: "de19d8b62ed98894"}


def looks(thumbnails):
    return described(thumbnails)[0]


@pytest.mark.parametrize(("seed", "expected"), IMAGEHASH.items())
def test_hashes_are_those_of_imagehash(seed, expected):
    (found,) = looks([thumbnail(photo(seed))])
    assert f"{int(found).to_bytes(8, 'little').hex()}" == expected


@pytest.mark.parametrize("side", [100, 200, 300, 512])
def test_scaling_and_compression_change_few_bits(side):
    seeds = range(20)
    before = looks([thumbnail(photo(seed, 256, 256)) for seed in seeds])
    smaller = [Image.fromarray(photo(seed, 256, 256)).resize((side, side)) for seed in seeds]
    after = looks([thumbnail(decode(encoded(image, quality=40))) for image in smaller])
    assert np.bitwise_count(before ^ after).max() <= NEAR_BITS


def test_different_images_differ_in_many_bits():
    hashes = looks([thumbnail(photo(seed)) for seed in range(40)])
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None])[np.triu_indices(40, 1)]
    assert distances.min() > NEAR_BITS


def test_plain_images_have_no_hash():
    assert looks([np.full((32, 32), value, np.uint8) for value in (0, 128, 255)]).tolist() == [0, 0, 0]
    assert [part.shape for part in described([])] == [(0,), (0, 64)]


def test_small_pixels_are_means():
    values = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)
    small = described([values])[1]
    assert (small.dtype, small.shape) == (np.uint8, (1, 64))
    assert small[0].tolist() == (values.reshape(8, 4, 8, 4).sum(axis=(1, 3)) // 16).ravel().tolist()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 900), (33, 700), (256, 257), (1000, 600)])
def test_a_thumbnail_is_made_of_any_size(height, width):
    assert thumbnail(photo(3, height, width)).shape == (32, 32)

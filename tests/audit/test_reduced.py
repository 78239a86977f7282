import numpy as np
import pytest
from PIL import Image
from planted import encoded, photo

from fastffdi.audit.jpeg import jpeg_header
from fastffdi.audit.reduced import decoded
from fastffdi.render.cpu.decode import decode


def header(data: bytes):
    found = jpeg_header(data)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    ("height", "width", "reduced"),
    [
        (60, 60, (60, 60)),
        (128, 130, (64, 65)),
        (256, 256, (64, 64)),
        (300, 1000, (75, 250)),
        (2000, 600, (250, 75)),
    ],
)
def test_a_jpeg_is_grey_and_reduced_as_far_as_it_stays_large_enough(height, width, reduced):
    data = encoded(photo(1, height, width))
    assert decoded(data, header(data)).shape == reduced


def test_its_pixels_are_means_of_the_luminance():
    data = encoded(photo(1, 256, 256), quality=95)
    grey = np.asarray(Image.fromarray(decode(data)).convert("L"), float)
    means = grey.reshape(64, 4, 64, 4).mean(axis=(1, 3))
    assert np.abs(decoded(data, header(data)) - means).mean() < 1


def test_a_turned_jpeg_is_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photo(1, 128, 256), exif=exif)
    assert decoded(data, header(data)).shape == (128, 64)


@pytest.mark.parametrize("mode", ["CMYK", "PNG"])
def test_what_is_no_plain_jpeg_is_decoded_as_a_loader_does(mode):
    image = Image.fromarray(photo(1))
    data = encoded(image, "PNG") if mode == "PNG" else encoded(image.convert(mode))
    found = None if mode == "PNG" else header(data)
    assert (decoded(data, found) == decode(data)).all()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_cut_short_is_refused(progressive):
    data = encoded(photo(1, 256, 256), progressive=progressive)
    with pytest.raises(OSError, match="truncated"):
        decoded(data[: len(data) // 2], header(data))


def test_damage_that_a_loader_puts_up_with_is_no_error():
    data = bytearray(encoded(photo(1, 256, 256)))
    data[-300:-296] = b"\xff\xd0\xff\xd1"  # restart marks where there are none
    assert decode(bytes(data)).shape == (256, 256, 3)
    assert decoded(bytes(data), header(bytes(data))).shape == (256, 256, 3)

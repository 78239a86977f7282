import pytest
from PIL import Image

from fastffdi.data.limits import LIMITS, UNLIMITED, Limits


def test_by_default_as_many_pixels_are_read_as_pillow_opens() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert LIMITS.pixels == 2 * Image.MAX_IMAGE_PIXELS
    LIMITS.check_pixels(1, LIMITS.pixels)
    LIMITS.check_pixels(LIMITS.pixels, 1)
    message = "60000×60000 are 3,600 megapixels, the limit is 178.96"
    with pytest.raises(ValueError, match=f"^{message}$"):
        LIMITS.check_pixels(60_000, 60_000)
    with pytest.raises(ValueError, match="megapixels"):
        LIMITS.check_pixels(1, LIMITS.pixels + 1)


def test_height_and_width_are_named_as_usual() -> None:
    with pytest.raises(ValueError, match=r"^3×2000000 are 6 megapixels, the limit is 5$"):
        Limits(pixels=5_000_000).check_pixels(2_000_000, 3)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5), (-5, -5)])
def test_without_pixels_it_is_no_image(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="pixels"):
        UNLIMITED.check_pixels(*size)


def test_files_have_a_length_and_not_too_much_of_it() -> None:
    LIMITS.check_bytes(1)
    LIMITS.check_bytes(512 << 20)
    with pytest.raises(ValueError, match=r"^600 MiB, at most 512 MiB are read$"):
        LIMITS.check_bytes(600 << 20)
    with pytest.raises(ValueError, match="512 MiB"):
        LIMITS.check_bytes((512 << 20) + 1)
    with pytest.raises(ValueError, match="empty"):
        LIMITS.check_bytes(0)

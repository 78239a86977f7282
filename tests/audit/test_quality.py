import io

import numpy as np
import pytest
from PIL import Image
from planted import encoded, photo

from fastffdi.audit.quality import jpeg_quality


def luminance(data: bytes) -> bytes:
    """The luminance table of a JPEG, in the order of the file."""
    start = data.index(b"\xff\xdb") + 5
    return data[start : start + 64]


@pytest.mark.parametrize("quality", [1, 5, 24, 25, 49, 50, 51, 75, 90, 95, 99, 100])
def test_the_quality_that_libjpeg_was_given_comes_back(quality):
    assert jpeg_quality(luminance(encoded(photo(1), quality=quality))) == quality


def test_a_table_that_no_quality_has_gets_the_nearest():
    table = np.frombuffer(luminance(encoded(photo(1), quality=80)), np.uint8).copy()
    table[[3, 40]] += 1
    assert jpeg_quality(table.tobytes()) == 80


def test_tables_of_cameras_are_placed_by_their_sum(test_data):
    with Image.open(io.BytesIO((test_data / "large/Nikon_D60.jpg").read_bytes())) as image:
        assert jpeg_quality(bytes(image.quantization[0])) in range(80, 100)

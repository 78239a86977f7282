import pytest
from planted import encoded, jpeg, photo

from fastffdi.audit.endings import TAIL_BYTES, ends_well, has_end
from fastffdi.audit.facts import FORMATS


def whole(format: str, data: bytes) -> bool:
    return ends_well(FORMATS.index(format), data[:64], data[-TAIL_BYTES:], len(data))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WebP", "BMP", "GIF"])
def test_a_file_cut_short_has_no_end(format):
    data = encoded(photo(1), format)
    assert whole(format, data)
    assert not whole(format, data[: len(data) * 2 // 3])


def test_what_comes_after_the_end_does_not_hide_it():
    code = FORMATS.index("JPEG")
    data = jpeg(1)
    assert not whole("JPEG", data + b"trailer")
    assert has_end(code, data + b"trailer", scan=300)
    assert not has_end(code, data[:-2] + b"trailer", scan=300)


def test_the_end_of_a_thumbnail_is_not_that_of_the_image():
    data = jpeg(1, comment=b"\xff\xd9")[:-2]
    assert not has_end(FORMATS.index("JPEG"), data, scan=data.index(b"\xff\xda"))

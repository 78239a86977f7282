import pytest
from PIL import Image
from planted import encoded, jpeg, photo

from fastffdi.audit.facts import MODES, SUBSAMPLINGS
from fastffdi.audit.jpeg import jpeg_header


@pytest.mark.parametrize(("given", "found"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
def test_a_header_says_size_quality_and_subsampling(given, found):
    header, scan = jpeg_header(data := encoded(photo(1, 40, 60), quality=83, subsampling=given))
    assert (header.height, header.width, header.quality) == (40, 60, 83)
    assert (SUBSAMPLINGS[header.subsampling], MODES[header.mode]) == (found, "RGB")
    assert data[scan : scan + 2] == b"\xff\xda"


@pytest.mark.parametrize(("mode", "name"), [("L", "grey"), ("CMYK", "CMYK")])
def test_colours_that_are_not_rgb_are_named(mode, name):
    header, _ = jpeg_header(encoded(Image.fromarray(photo(1)).convert(mode)))
    assert (MODES[header.mode], header.subsampling) == (name, 0)


def test_exif_and_its_orientation_are_found():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, _ = jpeg_header(encoded(photo(1), exif=exif))
    plain, _ = jpeg_header(jpeg(1))
    assert (turned.exif, turned.orientation, plain.exif, plain.orientation) == (True, 6, False, 1)


@pytest.mark.parametrize("length", [0, 4, 20, 200])
def test_a_header_cut_short_is_none(length):
    assert jpeg_header(jpeg(1)[:length]) is None

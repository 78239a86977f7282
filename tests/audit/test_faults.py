import numpy as np
import pytest
from PIL import Image
from planted import clean, encoded, jpeg, photo

from fastffdi.audit.faults import faults
from fastffdi.audit.survey import survey

EXIF = Image.Exif()
EXIF[0x0112] = 8
FRAMES = [Image.fromarray(photo(k)) for k in range(3)]

#: Kind → the name and bytes of a file that has it, how grave it is, and what is said of two such files.
PLANTED = {
    "missing": ("x.jpg", None, "error", "2 training images are missing: listed, but not there"),
    "empty": ("x.jpg", b"", "error", "2 training images are empty, of zero bytes"),
    "not-an-image": ("x.jpg", b"no image", "error", "2 training images are no images"),
    "truncated": ("x.jpg", jpeg(1)[:-300], "error", "2 training images are truncated"),
    "undecodable": ("x.png", b"\x89PNG\r\n\x1a\nIEND", "error", "2 training images are undecodable"),
    "mode-grey": (
        "x.png",
        encoded(FRAMES[0].convert("L"), "PNG"),
        "note",
        "2 training images are not RGB but grey",
    ),
    "mode-CMYK": (
        "x.jpg",
        encoded(FRAMES[0].convert("CMYK")),
        "note",
        "2 training images are not RGB but CMYK",
    ),
    "mode-alpha": (
        "x.png",
        encoded(FRAMES[0].convert("RGBA"), "PNG"),
        "note",
        "2 training images are not RGB but with alpha, which is dropped",
    ),
    "mode-palette": (
        "x.png",
        encoded(FRAMES[0].convert("P"), "PNG"),
        "note",
        "2 training images are not RGB but of palette colours",
    ),
    "mode-16-bit": (
        "x.png",
        encoded(photo(1)[..., 0].astype(np.uint16), "PNG"),
        "note",
        "2 training images are not RGB but of 16 bits, scaled down to 8",
    ),
    "wrong-extension": (
        "x.jpg",
        encoded(photo(1), "PNG"),
        "note",
        "2 training images are named unlike their content (2 PNG named .jpg)",
    ),
    "animated": (
        "x.webp",
        encoded(FRAMES[0], "WebP", save_all=True, append_images=FRAMES[1:]),
        "note",
        "2 training images are animated",
    ),
    "exif-turned": ("x.jpg", encoded(photo(1), exif=EXIF), "note", "2 training images are turned by EXIF"),
}


def found(planted, rows, full=True):
    return list(faults(survey(planted(rows).train, 2, full), "training", 100))


def test_files_without_a_fault_have_no_findings(planted):
    assert found(planted, clean()) == []


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_fault_is_found_and_named(planted, kind, full):
    name, data, severity, text = PLANTED[kind]
    rows = clean()
    rows["train"] += [(f"a{name}", data, 0), (f"b{name}", data, 1)]
    (finding,) = found(planted, rows, full)
    assert (finding.kind, finding.severity, finding.text) == (kind, severity, text)
    assert finding.rows.tolist() == [112, 113]
    assert finding.advice


def test_an_oversized_image_is_found_without_being_decoded(planted):
    rows = clean()
    png = encoded(photo(1), "PNG")
    rows["train"].append(("bomb.png", png[:16] + (60000).to_bytes(4, "big") * 2 + png[24:], 0))
    (finding,) = found(planted, rows)
    assert (finding.kind, finding.text) == ("oversized", "1 training image is oversized")


def test_a_name_without_an_extension_is_unlike_any_content(planted):
    rows = clean()
    rows["train"].append(("noextension", jpeg(1), 0))
    (finding,) = found(planted, rows)
    assert (
        finding.text == "1 training image is named unlike their content (1 JPEG named without an extension)"
    )


@pytest.mark.parametrize("ending", [".jpg", ".JPEG", ".jfif", ".jpe"])
def test_all_endings_of_a_format_are_right(planted, ending):
    rows = clean()
    rows["train"].append((f"x{ending}", jpeg(50), 0))
    assert found(planted, rows) == []

import pytest
from PIL import Image
from planted import clean, encoded, photo

from fastffdi.audit.shortcuts import CURES, shortcuts
from fastffdi.audit.survey import survey

EXIF = Image.Exif()
EXIF[0x010E] = "camera"

#: Fact → how an image of number k is encoded, by its label.
PLANTED = {
    "file size": lambda k, fake: encoded(photo(k), comment=b"x" * 3000 * fake),
    "JPEG quality": lambda k, fake: encoded(photo(k), quality=95 if fake else 70),
    "chroma subsampling": lambda k, fake: encoded(photo(k), subsampling=0 if fake else 2),
    "width": lambda k, fake: encoded(photo(k, 64, 80 if fake else 64)),
    "height": lambda k, fake: encoded(photo(k, 80 if fake else 64, 64)),
    "aspect ratio": lambda k, fake: encoded(
        photo(k, 64 + 8 * (k // 2 % 3), (64 + 8 * (k // 2 % 3)) * (1 + fake))
    ),
    "format": lambda k, fake: encoded(photo(k), "PNG" if fake else "JPEG"),
    "EXIF": lambda k, fake: encoded(photo(k), **({"exif": EXIF} if fake else {})),
    "colours": lambda k, fake: encoded(Image.fromarray(photo(k)).convert("L" if fake else "RGB")),
}


def measured(dataset):
    found = shortcuts(survey(dataset.train, 2, False), survey(dataset.val, 2, False))
    return {one.fact: one for one in found}


def test_all_facts_have_a_cure_and_a_plant():
    assert PLANTED.keys() == CURES.keys()


@pytest.mark.parametrize("fact", PLANTED)
def test_a_planted_shortcut_is_found_and_named(planted, fact):
    rows = clean(24)
    encode = PLANTED[fact]
    rows["train"] = [(name, encode(k, k % 2), k % 2) for k, (name, _, _) in enumerate(rows["train"])]
    found = measured(planted(rows))[fact]
    assert found.warn
    assert found.reach[0] == pytest.approx(1.0)
    assert found.furthest == found.reach[0]


def test_equal_files_give_nothing_away(planted):
    found = measured(planted(clean(24)))
    assert not any(one.warn for one in found.values())
    assert found["width"].reach == (0.5, 0.5)


def test_a_shortcut_in_validation_alone_is_found(planted):
    rows = clean(12, 12)
    rows["val"] = [(f"{k}.png", encoded(photo(k), "PNG" if k % 2 else "JPEG"), k % 2) for k in range(12)]
    found = measured(planted(rows))["format"]
    assert (found.reach, found.warn) == ((0.5, 1.0), True)


def test_the_direction_does_not_matter(planted):
    rows = clean(24)
    encode = PLANTED["JPEG quality"]
    rows["train"] = [(name, encode(k, 1 - k % 2), k % 2) for k, (name, _, _) in enumerate(rows["train"])]
    assert measured(planted(rows))["JPEG quality"].reach[0] == 1.0


def test_a_few_images_are_not_warned_of_by_chance(planted):
    rows = clean(4)
    rows["train"] = [
        (name, encoded(photo(k), quality=[80, 81, 80, 82][k]), k % 2)
        for k, (name, _, _) in enumerate(rows["train"])
    ]
    found = measured(planted(rows))["JPEG quality"]
    assert (found.reach[0], found.warn) == (1.0, False)


def test_quality_is_not_known_without_a_jpeg(planted):
    rows = clean()
    rows["train"] = [(name, encoded(photo(k), "PNG"), k % 2) for k, (name, _, _) in enumerate(rows["train"])]
    found = measured(planted(rows))
    assert found["JPEG quality"].reach[0] is None
    assert found["chroma subsampling"].reach[0] is None


def test_one_class_gives_no_figure(planted):
    rows = clean()
    rows["val"] = [(name, data, 0) for name, data, _ in rows["val"]]
    assert all(one.reach[1] is None for one in measured(planted(rows)).values())

"""What --explain prints is what benchmarks/README.md says, and what the code does."""

from pathlib import Path

import pytest

from fastffdi.bench import budget, ceilings, footprint, method, quick, race, tune
from fastffdi.bench.loader import Settings

PAGE = (Path(__file__).parents[2] / "benchmarks" / "README.md").read_text(encoding="utf-8")
PUBLISHED = [" ".join(paragraph.split()) for paragraph in PAGE.split("\n\n")]


@pytest.mark.parametrize("paragraph", method.PARAGRAPHS, ids=lambda text: text[:30])
def test_every_paragraph_is_published(paragraph):
    assert paragraph in PUBLISHED


def test_each_protocol_is_explained_without_the_other():
    for tuning in (False, True):
        quick_text, thorough = method.explained("quick", tuning), method.explained("thorough", tuning)
        assert (method.QUICK in quick_text, method.THOROUGH in quick_text) == (True, False)
        assert (method.QUICK in thorough, method.THOROUGH in thorough) == (False, True)
        assert (method.TUNE in quick_text, method.CEILINGS in quick_text) == (tuning, not tuning)


@pytest.mark.parametrize(
    ("said", "paragraph", "number", "value"),
    [
        ("at most 60 seconds", method.QUICK, budget.QUICK_SECONDS, 60),
        ("fit in the time, at most five", method.QUICK, budget.MOST_TURNS, 5),
        ("at most three seconds", method.QUICK, budget.LONGEST_SECONDS, 3),
        ("twice as long at once", method.QUICK, race.PATIENCE, 2),
        ("down to four images", method.QUICK, quick.SMALLEST_BATCH, 4),
        ("until one has 100 megapixels", method.QUICK, quick.BATCH_PIXELS, 100e6),
        ("20,000 images", method.QUICK, quick.MOST_IMAGES, 20_000),
        ("five of at least", method.THOROUGH, Settings.repeats, 5),
        ("at least three seconds", method.THOROUGH, Settings.seconds, 3),
        ("three fresh processes", method.THOROUGH, footprint.REPEATS, 3),
        ("two seconds more", method.THOROUGH, footprint.SECONDS, 2),
        ("a quarter as long", method.CEILINGS, ceilings.SHORTER, 4),
        ("within 3 %", method.TUNE, tune.NOISE, 0.03),
    ],
)
def test_the_numbers_are_those_of_the_code(said, paragraph, number, value):
    assert (said in paragraph, number) == (True, value)

import pytest

from fastffdi.audit.findings import Finding, are, images, percent, ranked


def test_the_gravest_come_first_and_equals_keep_their_order():
    given = [
        Finding("a", "note", "", "", weight=9),
        Finding("b", "error", "", "", weight=1),
        Finding("c", "warning", "", ""),
        Finding("d", "error", "", "", weight=2),
        Finding("e", "warning", "", ""),
    ]
    assert [one.kind for one in ranked(given)] == ["d", "b", "c", "e", "a"]


@pytest.mark.parametrize(
    ("count", "words"),
    [(1, "1 training image is"), (2, "2 training images are"), (2000, "2,000 training images are")],
)
def test_counts_are_read_as_words(count, words):
    assert f"{images(count, 'training')} {are(count)}" == words


@pytest.mark.parametrize(
    ("count", "total", "words"), [(81, 200, "40 %"), (1, 300, "below 1 %"), (0, 5, "0 %"), (5, 5, "100 %")]
)
def test_shares_are_never_rounded_to_nothing(count, total, words):
    assert percent(count, total) == words

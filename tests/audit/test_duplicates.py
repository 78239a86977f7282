import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import encoded, photo

from fastffdi.audit.duplicates import Duplicates, alike, near_pairs
from fastffdi.audit.looks import described, thumbnail
from fastffdi.render.cpu.decode import decode

WORDS = st.integers(0, 2**64 - 1)


@st.composite
def near_hashes(draw):
    """Distinct hashes, many of them a few bits apart."""
    hashes = draw(st.lists(WORDS, min_size=1, max_size=8))
    for _ in range(draw(st.integers(0, 12))):
        flips = draw(st.lists(st.integers(0, 63), max_size=7))
        hashes.append(draw(st.sampled_from(hashes)) ^ sum(1 << bit for bit in set(flips)))
    return np.array(draw(st.permutations(sorted(set(hashes)))), np.uint64)


@given(near_hashes(), st.integers(0, 6))
def test_near_pairs_are_those_of_comparing_all(hashes, bits):
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None])
    expected = np.argwhere(np.triu(distances <= bits, 1))
    assert near_pairs(hashes, bits).tolist() == expected.tolist()


def test_a_hundred_thousand_hashes_are_compared_without_comparing_all():
    rng = np.random.default_rng(0)
    hashes = np.unique(rng.integers(0, 2**63, 100_000, np.uint64))
    planted = hashes[:500] ^ np.uint64(0b1011)
    both = np.concatenate([hashes, planted])
    assert len(near_pairs(both)) == 500


def looking(images):
    return described([thumbnail(image) for image in images])


@pytest.fixture(scope="module")
def crowd():
    """Ten images; each again at half the size and compressed."""
    originals = [photo(seed, 128, 128) for seed in range(10)]
    again = [decode(encoded(image[::2, ::2], quality=60)) for image in originals]
    return looking([*originals, *again])


@given(st.permutations(range(20)))
@settings(max_examples=20)
def test_near_duplicates_are_found_whatever_the_order(crowd, order):
    hashes, small = (part[list(order)] for part in crowd)
    groups = alike(hashes, small)
    image = np.array(order) % 10
    assert ((groups[:, None] == groups[None]) == (image[:, None] == image[None])).all()


def test_images_of_one_hash_but_other_brightness_are_not_alike():
    image = photo(1, 64, 64, contrast=0.3)
    darker = (image.astype(int) - 60).clip(0, 255).astype(np.uint8)
    hashes, small = looking([image, darker, image])
    groups = alike(hashes, small)
    assert hashes[0] == hashes[1]
    assert groups[0] == groups[2] != groups[1]


def test_images_without_a_hash_are_alike_with_none():
    assert len(set(alike(*looking([np.zeros((9, 9, 3), np.uint8)] * 3)).tolist())) == 3


def duplicates(content, look):
    return Duplicates(np.array(content), np.array(look))


def test_same_gives_the_first_of_equal_bytes():
    found = duplicates([0, 1, 2, 1, 0, 3], range(6))
    assert found.same(np.array([3, 4, 5]), np.array([0, 1, 2])).tolist() == [1, 0, -1]


def test_copies_are_all_but_the_first():
    rows, first = duplicates([0, 1, 0, 0, 1, 2], range(6)).copies(np.arange(6))
    assert (rows.tolist(), first.tolist()) == ([2, 3, 4], [0, 0, 1])


def test_conflicts_are_all_rows_of_a_content_under_both_labels():
    assert duplicates([0, 0, 1, 1, 2], range(5)).conflicts(np.array([0, 1, 1, 1, 0])).tolist() == [0, 1]


def test_near_is_of_other_bytes_only():
    found = duplicates([0, 1, 2, 0, 4], [0, 0, 2, 0, 4])
    of, like = found.near(np.array([3, 4]), np.array([0, 1, 2]))
    assert (of.tolist(), like.tolist()) == ([3], [1])
    of, like = found.near(np.array([3]), np.array([0, 2]))
    assert of.tolist() == []


def test_near_copies_leave_out_the_first_and_those_of_equal_bytes():
    rows, first = duplicates([0, 0, 2, 3, 4], [0, 0, 0, 0, 4]).near_copies(np.arange(5))
    assert (rows.tolist(), first.tolist()) == ([2, 3], [0, 0])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=12), st.data())
def test_near_agrees_with_looking_at_every_pair(kinds, data):
    content, look = np.array([4 * b + a for a, b in kinds], int), np.array([b for _, b in kinds], int)
    rows = list(range(len(kinds)))
    of = np.array([row for row in rows if data.draw(st.booleans())], int)
    among = np.array([row for row in rows if data.draw(st.booleans())], int)
    found, like = duplicates(content, look).near(of, among)
    expected = [r for r in of if any(look[r] == look[a] and content[r] != content[a] for a in among)]
    assert found.tolist() == expected
    assert all(look[r] == look[a] and content[r] != content[a] for r, a in zip(found, like, strict=True))
    assert set(like.tolist()) <= set(among.tolist())

"""Images that several users get by one decoding."""

import pickle
import threading
import time

import numpy as np
import pytest

from fastffdi.errors import UndecodableImage
from fastffdi.recipe.program import EMPTY
from fastffdi.render.cpu.shared import SharedDecoder


class Counting:
    """Gives images of 300 bytes that are full of their row; `asked` are the rows, in order."""

    def __init__(self, seconds=0.0):
        self.asked, self.seconds = [], seconds

    def __call__(self, row, path, prefix, program, i):
        assert (prefix, program, i) == (EMPTY, EMPTY, 0)
        self.asked.append(row)
        time.sleep(self.seconds)
        if path == "bad":
            raise UndecodableImage(path, "no image")
        return np.full((10, 10, 3), row, np.uint8)


def shared(decoder, uses, most=1e9):
    return SharedDecoder(decoder, uses, most)


def rows_of(decoder, rows, path="good"):
    return [int(decoder(row, path, EMPTY, EMPTY, 3)[0, 0, 0]) for row in rows]


def test_an_image_is_decoded_once_and_forgotten_after_its_last_use():
    counting = Counting()
    decoder = shared(counting, 3)
    assert rows_of(decoder, [4, 5, 4, 5, 4, 5]) == [4, 5, 4, 5, 4, 5]
    assert counting.asked == [4, 5]
    assert (decoder._waiting, decoder._bytes) == ({}, 0)
    assert rows_of(decoder, [4]) == [4]
    assert counting.asked == [4, 5, 4]


def test_threads_that_come_meanwhile_wait_for_the_one_that_decodes():
    counting, found = Counting(0.05), []
    decoder = shared(counting, 6)
    threads = [threading.Thread(target=lambda: found.extend(rows_of(decoder, [1, 2]))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [1] * 6 + [2] * 6
    assert sorted(counting.asked) == [1, 2]
    assert (decoder._waiting, decoder._bytes) == ({}, 0)


def test_what_cannot_be_decoded_is_told_to_all():
    counting = Counting()
    decoder = shared(counting, 3)
    for _ in range(3):
        with pytest.raises(UndecodableImage, match="bad: cannot be decoded"):
            rows_of(decoder, [7], "bad")
    assert counting.asked == [7]
    assert decoder._waiting == {}


def test_images_beyond_the_memory_are_decoded_again():
    counting = Counting()
    decoder = shared(counting, 2, most=700)
    assert rows_of(decoder, [0, 1, 2]) == [0, 1, 2]
    assert decoder._bytes == 600
    assert rows_of(decoder, [2, 1, 0]) == [2, 1, 0]
    assert counting.asked == [0, 1, 2, 2]
    assert (decoder._waiting, decoder._bytes) == ({}, 0)


def test_a_pickled_one_begins_anew():
    decoder = shared(Counting(), 2)
    rows_of(decoder, [1])
    again = pickle.loads(pickle.dumps(decoder))
    assert (again.uses, again.most_bytes, again._waiting) == (2, 1e9, {})

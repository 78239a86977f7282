import dataclasses

import numpy as np
import pytest

from fastffdi.recipe.kernels import Flip, Matrix, Normalize, Resize, Warp, Window
from fastffdi.recipe.program import Program

SIZE = np.array([[10, 20], [30, 40], [50, 60]], np.int32)
WINDOW = Window(np.array([[1, 2], [3, 4], [5, 6]], np.int32), SIZE - 7, fill=9)
RESIZE = Resize(np.tile(np.array([0, 0, 1, 1], np.float32), (3, 1)), SIZE * 2)
FLIP = Flip(np.array([True, False, True]), np.array([False, False, True]))
NORMALIZE = Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def test_arrays_are_the_fields_with_a_row_per_image() -> None:
    assert list(WINDOW.arrays()) == ["start", "size"]
    assert list(FLIP.arrays()) == ["horizontal", "vertical"]
    assert NORMALIZE.arrays() == {}


@pytest.mark.parametrize("rows", [np.array([2, 0]), slice(1, None), np.array([True, False, False])])
def test_take_picks_rows_of_arrays_and_keeps_the_rest(rows: np.ndarray | slice) -> None:
    taken = WINDOW.take(rows)
    assert taken.start.tolist() == WINDOW.start[rows].tolist()
    assert taken.size.tolist() == WINDOW.size[rows].tolist()
    assert taken.fill == 9


def test_window_and_resize_set_the_size_and_the_others_keep_it() -> None:
    assert WINDOW.out_size(SIZE).tolist() == (SIZE - 7).tolist()
    assert RESIZE.out_size(SIZE).tolist() == (SIZE * 2).tolist()
    keeping = FLIP, Warp(np.tile(np.eye(3), (3, 1, 1))), Matrix(np.zeros((3, 3, 4))), NORMALIZE
    assert all(kernel.out_size(SIZE) is SIZE for kernel in keeping)


def test_a_program_takes_from_every_kernel() -> None:
    taken = Program((RESIZE, FLIP, NORMALIZE)).take(np.array([2]))
    assert len(taken) == 3
    assert taken.kernels[0].out_size(SIZE).tolist() == [[100, 120]]
    assert taken.kernels[1].arrays() == {"horizontal": [True], "vertical": [True]}
    assert taken.kernels[2] == NORMALIZE


def test_kernels_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        NORMALIZE.mean = (0.0, 0.0, 0.0)  # type: ignore[misc]

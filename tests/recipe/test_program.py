import dataclasses

import numpy as np
import pytest

from fastffdi.recipe.kernels import Flip, Matrix, Normalize, Resize, Views
from fastffdi.recipe.program import EMPTY, Program

SIZE = np.array([[10, 20], [30, 40], [50, 60]], np.int32)
RESIZE = Resize(np.tile(np.array([0, 0, 1, 1], np.float32), (3, 1)), SIZE * 2)
FLIP = Flip(np.array([True, False, True]), np.array([False, False, True]))
MATRIX = Matrix(np.zeros((3, 3, 4), np.float32))
NORMALIZE = Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
KERNELS = RESIZE, FLIP, MATRIX


def test_a_normalize_at_the_end_is_no_kernel() -> None:
    program = Program.of((*KERNELS, NORMALIZE))
    assert program == Program(KERNELS, NORMALIZE)
    assert program.kernels == KERNELS
    assert program.normalize is NORMALIZE
    assert len(program) == 3


def test_a_program_may_end_without_a_normalize() -> None:
    assert Program.of(KERNELS) == Program(KERNELS, None)
    assert Program.of(iter(KERNELS)).kernels == KERNELS


def test_a_program_may_have_no_kernels() -> None:
    assert Program.of(()) == EMPTY == Program((), None)
    assert Program.of([NORMALIZE]) == Program((), NORMALIZE)
    assert len(EMPTY) == len(Program.of([NORMALIZE])) == 0


@pytest.mark.parametrize("normalize", [None, NORMALIZE])
@pytest.mark.parametrize("count", range(4))
def test_the_first_kernels_and_those_after_them_are_the_program(
    count: int, normalize: Normalize | None
) -> None:
    program = Program(KERNELS, normalize)
    first, after = program.first(count), program.after(count)
    assert first == Program(KERNELS[:count])
    assert after == Program(KERNELS[count:], normalize)
    assert len(first) + len(after) == len(program)
    assert (*first.kernels, *after.kernels) == program.kernels


def test_a_program_takes_from_every_kernel() -> None:
    taken = Program.of((RESIZE, FLIP, NORMALIZE)).take(np.array([2]))
    assert len(taken.kernels) == 2
    assert taken.kernels[0].out_size(SIZE).tolist() == [[100, 120]]
    assert taken.kernels[1].arrays() == {"horizontal": [True], "vertical": [True]}
    assert taken.normalize == NORMALIZE


def test_a_program_of_views_is_not_for_some_of_the_images() -> None:
    program = Program.of((RESIZE, Views(5), Views(2), NORMALIZE))
    assert program.views == 10
    assert Program(KERNELS).views == EMPTY.views == 1
    with pytest.raises(AssertionError):
        program.take(slice(0, 1))


def test_programs_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        EMPTY.normalize = NORMALIZE  # type: ignore[misc]

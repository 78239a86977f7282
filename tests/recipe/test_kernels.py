import dataclasses

import kernel_samples
import numpy as np
import pytest

from fastffdi.recipe.kernels import (
    Blend,
    Blur,
    Erase,
    Flip,
    Jpeg,
    Kernel,
    Matrix,
    Noise,
    Normalize,
    Part,
    Python,
    Resize,
    Sharpen,
    Stretch,
    Table,
    Views,
    Warp,
    Window,
)
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
    assert all(kernel.out_size(None) is None for kernel in keeping)
    assert WINDOW.out_size(None).tolist() == (SIZE - 7).tolist()
    assert RESIZE.out_size(None).tolist() == (SIZE * 2).tolist()


def test_views_repeat_the_size_and_leave_it_unknown_where_it_is() -> None:
    assert Views(2).out_size(SIZE).tolist() == [[10, 20]] * 2 + [[30, 40]] * 2 + [[50, 60]] * 2
    assert Views(2).out_size(None) is None


CHANGING = [
    # kernel, the images that it may change: None is all, whatever their number
    (FLIP, [0, 2]),
    (Flip(np.zeros(3, bool), np.zeros(3, bool)), []),
    (Flip(np.ones(3, bool), np.zeros(3, bool)), None),
    (WINDOW, None),
    (RESIZE, None),
    (Warp(np.stack([np.eye(3), 2 * np.eye(3), np.eye(3)])), [1]),
    (Table(np.stack([np.arange(256), np.arange(256), 255 - np.arange(256)]).astype(np.uint8)), [2]),
    (Noise(np.float32([0, 0, 1]), np.arange(3), np.int32([0, 1, 0])), [1, 2]),
    (Blend((Program((FLIP,)),), np.float32([[1, 0], [0.5, 0.5], [1, 0]])), [1]),
    (Python("own:function", np.array([False, True, False])), [1]),
    (Views(1), []),
    (Views(5), None),
    (NORMALIZE, None),
]


@pytest.mark.parametrize(
    ("kernel", "changed"), CHANGING, ids=[type(kernel).__name__ for kernel, _ in CHANGING]
)
def test_every_kernel_says_which_images_it_may_change(kernel: Kernel, changed: list[int] | None) -> None:
    assert [i for i in range(3) if not kernel.is_identity(i)] == ([0, 1, 2] if changed is None else changed)
    found = kernel.changed()
    if changed is None:
        assert found is None
    else:
        assert found is not None
        assert found.dtype == np.int64
        assert found.tolist() == changed


@pytest.mark.parametrize("name", kernel_samples.SAMPLES)
def test_what_a_sampled_kernel_says_of_single_images_and_of_all_agrees(name: str) -> None:
    kernel = kernel_samples.sample(name, 6)
    found = kernel.changed()
    changed = [i for i in range(6) if not kernel.is_identity(i)]
    assert changed == (list(range(6)) if found is None else found.tolist())
    if name not in kernel_samples.SIZING:
        members = kernel_samples.members(6)
        some = kernel.only(members, None)
        assert [some.is_identity(i) for i in range(6)] == [
            not members[i] or kernel.is_identity(i) for i in range(6)
        ]
        types = [{field: value.dtype for field, value in k.arrays().items()} for k in (some, kernel)]
        assert types[0] == types[1]


def zeros(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.zeros((2, *shape), dtype)


NEUTRAL = [
    # kernel, and its parameters for an image of 10 × 20 that it leaves as it is
    (Window(zeros(2), zeros(2)), {"start": [0, 0], "size": [10, 20]}),
    (Resize(zeros(4), zeros(2)), {"roi": [0, 0, 1, 1], "size": [10, 20]}),
    (Flip(np.ones(2, bool), np.ones(2, bool)), {"horizontal": False, "vertical": False}),
    (Warp(zeros(3, 3)), {"matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}),
    (Matrix(zeros(3, 4)), {"matrix": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]}),
    (Table(zeros(256, dtype=np.uint8)), {"table": list(range(256))}),
    (Stretch(zeros() + 1, zeros()), {"how": 0, "amount": 1}),
    (Blur(zeros(3), zeros(5)), {"rows": [0, 1, 0], "columns": [0, 0, 1, 0, 0]}),
    (Sharpen(zeros()), {"amount": 1}),
    (Jpeg(zeros() + 70), {"quality": 0}),
    (Noise(zeros() + 3, np.array([4, 5]), zeros() + 6), {"sigma": 0, "key": 5, "offset": 0}),
    (Erase(zeros(4) + 9), {"box": [0, 0, 0, 0]}),
    (Blend((Program((FLIP.take(slice(2)),)),), zeros(2)), {"weights": [1, 0]}),
    (Python("a:b", np.ones(2, bool)), {"chosen": False}),
]


@pytest.mark.parametrize(("kernel", "neutral"), NEUTRAL, ids=[type(one).__name__ for one, _ in NEUTRAL])
def test_only_for_members_leaves_the_others_neutral(kernel: Kernel, neutral: dict) -> None:
    some = kernel.only(np.array([True, False]), np.array([[30, 40], [10, 20]]))
    assert {name: value[1].tolist() for name, value in some.arrays().items()} == neutral
    assert all(np.array_equal(some.arrays()[name][0], value[0]) for name, value in kernel.arrays().items())


def test_kernels_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        NORMALIZE.mean = (0.0, 0.0, 0.0)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("roi", "part"),
    [
        ([0, 0, 1, 1], Part(0, 0, 30, 40)),
        ([0.5, 0.25, 1, 0.75], Part(15, 10, 30, 30)),
        ([1, 0.75, 0.5, 0.25], Part(15, 10, 30, 30)),  # flipped
        ([0.51, 0, 0.54, 1], Part(15, 0, 16, 40)),  # rows 15.3 to 16.2
        ([0.5, 0.5, 0.5, 0.5], Part(15, 20, 15, 20)),
    ],
)
def test_a_resize_reads_its_region_in_whole_pixels(roi, part):
    kernel = Resize(np.array([[0, 0, 1, 1], roi], np.float32), SIZE[:2])
    assert kernel.part(1, 30, 40) == part


@pytest.mark.parametrize(
    ("start", "part"),
    [
        ([0, 0], Part(0, 0, 10, 20)),
        ([20, 20], Part(20, 20, 30, 40)),
        ([21, 20], None),
        ([20, 21], None),
        ([-1, 0], None),
        ([0, -1], None),
    ],
)
def test_a_window_reads_itself_where_it_is_inside(start, part):
    assert Window(np.array([start], np.int32), SIZE[:1]).part(0, 30, 40) == part


def test_of_other_kernels_it_is_not_known():
    assert Flip(np.array([True]), np.array([True])).part(0, 30, 40) is None


def test_the_slices_of_a_part_are_its_rows_and_columns():
    rows, columns = Part(1, 2, 4, 8).slices
    assert np.zeros((9, 9))[rows, columns].shape == (3, 6)

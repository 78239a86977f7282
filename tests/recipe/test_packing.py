"""Packing a batch's parameters: only kernels with work to do, each array where its kernel finds it."""

import numpy as np
import pytest
from kernel_samples import SAMPLES, SIZE, members, sample

from fastffdi.recipe.kernels import Blend, Table
from fastffdi.recipe.packing import ActiveKernel, active_kernels, all_arrays, pack
from fastffdi.recipe.program import Program

SIZES = np.tile(SIZE, (6, 1))


def test_a_kernel_is_given_only_the_images_it_changes() -> None:
    table = sample("table", 6).only(members(6), SIZES)
    (some,) = active_kernels([table])
    assert type(some.kernel) is Table
    assert some.members.tolist() == [1, 2, 4, 5]
    assert np.array_equal(some.kernel.arrays()["table"], table.arrays()["table"][[1, 2, 4, 5]])


def test_a_kernel_with_nothing_to_do_is_left_out() -> None:
    assert active_kernels([sample("warp", 6).only(np.zeros(6, bool), SIZES)]) == ()


@pytest.mark.parametrize("name", ["window edge", "resize", "warp"])
def test_a_kernel_that_changes_all_images_is_as_it_was(name: str) -> None:
    kernel = sample(name, 6)
    assert active_kernels([kernel]) == (ActiveKernel(kernel),)


def test_branches_too_have_only_the_images_they_change() -> None:
    inner = sample("table", 6).only(members(6), SIZES)
    weights = np.float32([[0.5, 0.5], [1, 0], [0.5, 0.5]] * 2)
    (some,) = active_kernels([Blend((Program((inner,)),), weights)])
    assert some.members.tolist() == [0, 2, 3, 5]
    ((inner_some,),) = some.branches
    assert inner_some.members.tolist() == [1, 3]


def test_the_buffer_has_every_array_aligned_and_in_order() -> None:
    packed = pack([sample(name, 5) for name in SAMPLES])
    assert len(packed.buffer) == sum(packed.sizes)
    first = 0
    for array, size in zip(all_arrays(packed.kernels), packed.sizes, strict=True):
        assert first % 8 == 0
        piece = packed.buffer[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
        assert np.array_equal(piece, array)
        first += size


def test_parameters_are_in_the_dtypes_of_the_device() -> None:
    (active,) = active_kernels([sample("matrix", 3)])
    assert active.arrays["matrix"].dtype == np.float32
    (active,) = active_kernels([sample("table", 3)])
    assert active.arrays["table"].dtype == np.uint8


def test_a_program_is_packed_once() -> None:
    program = Program((sample("table", 3),))
    assert program.packed is program.packed
    assert [type(active.kernel) for active in program.packed.kernels] == [Table]

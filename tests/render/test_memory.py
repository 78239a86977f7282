import gc
import threading

import numpy as np
import pytest
import torch

from fastffdi.render.memory import Pool

DTYPES = [torch.uint8, torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_has_the_shape_and_type_asked_for_and_can_be_written_to(dtype: torch.dtype) -> None:
    lent = Pool(1).empty((2, 3, 5), dtype)
    assert (lent.shape, lent.dtype, lent.is_contiguous()) == ((2, 3, 5), dtype, True)
    assert lent.fill_(7).sum() == 210


def test_memory_comes_back_with_the_last_tensor_on_it() -> None:
    pool = Pool(1)
    first = pool.empty((4, 4))
    place = first.data_ptr()
    assert pool.empty((4, 4)).data_ptr() != place
    del first
    pool = Pool(1)
    place = pool.empty((4, 4)).data_ptr()
    assert pool.empty((4, 4)).data_ptr() == place


@pytest.mark.parametrize(
    "view",
    [
        lambda lent: lent[1:, 2],
        lambda lent: lent.permute(1, 0),
        lambda lent: lent.numpy(),
        lambda lent: lent.numpy()[1:],
        lambda lent: torch.from_dlpack(lent),
        lambda lent: torch.nn.Parameter(lent, requires_grad=False),
    ],
)
def test_memory_is_not_lent_again_while_there_is_a_view_of_it(view) -> None:
    pool = Pool(4)
    lent = pool.empty((4, 4)).fill_(1)
    place, kept = lent.data_ptr(), view(lent)
    del lent
    gc.collect()
    others = [pool.empty((4, 4)).fill_(2) for _ in range(3)]
    assert place not in [other.data_ptr() for other in others]
    assert (np.asarray(kept) == 1).all()
    del kept, others
    assert place in [lent.data_ptr() for lent in [pool.empty((4, 4)) for _ in range(4)]]


def test_a_tensor_that_autograd_keeps_keeps_its_memory() -> None:
    pool, weight = Pool(2), torch.ones(4, requires_grad=True)
    loss = (pool.empty((4,), torch.float32).fill_(3) * weight).sum()
    pool.empty((4,), torch.float32).fill_(5)
    loss.backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [3, 3, 3, 3]


def test_less_fits_where_more_was_and_more_does_not() -> None:
    pool = Pool(2)
    place = pool.empty((8,), torch.float32).data_ptr()
    assert pool.empty((3, 5)).data_ptr() == place
    larger = pool.empty((33,)).fill_(1)
    assert len(larger) == 33
    assert pool._free.maxlen == 2


def test_no_more_than_the_spare_blocks_are_kept() -> None:
    pool = Pool(2)
    many = [pool.empty((4,)) for _ in range(5)]
    assert len({lent.data_ptr() for lent in many}) == 5
    del many
    assert len(pool._free) == 2


def test_nothing_is_lent_twice_to_threads_that_come_and_go() -> None:
    pool, wrong = Pool(3), []

    def use(mark: int) -> None:
        for k in range(300):
            lent = pool.empty((64,), torch.int64).fill_(mark + k)
            if not (lent == mark + k).all():
                wrong.append(mark)

    threads = [threading.Thread(target=use, args=(1000 * mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_memory_outlives_its_pool() -> None:
    lent = Pool(1).empty((3,)).fill_(9)
    gc.collect()
    assert lent.tolist() == [9, 9, 9]


def test_nothing_is_something() -> None:
    assert Pool(1).empty((0, 3)).shape == (0, 3)

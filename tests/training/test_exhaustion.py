import numpy as np
import pytest
import torch
from experiments import finished

from fastffdi.errors import RunError
from fastffdi.training.exhaustion import explained, is_for_want_of_memory
from fastffdi.training.loop import Trainer

CPU = torch.device("cpu")


def told(error, batch_size=64, device=CPU, accumulate=1):
    with pytest.raises(RunError) as caught, explained(batch_size, device, accumulate):
        raise error
    return str(caught.value)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory. Tried"), MemoryError()])
def test_it_says_the_batch_size_and_a_smaller_one(error):
    assert told(error) == (
        "out of memory on cpu with --batch-size 64; --batch-size 32 --accumulate 2 makes updates of as many "
        "images in less memory"
    )


def test_what_is_accumulated_already_is_counted():
    found = told(MemoryError(), 16, torch.device("cuda:1"), 4)
    assert found.startswith(
        "out of memory on cuda:1 with --batch-size 16; --batch-size 8 --accumulate 8 makes"
    )


def test_of_a_single_image_there_is_no_less():
    assert told(MemoryError(), 1).endswith(
        "--batch-size 1; take a smaller backbone, or smaller images by --pipeline"
    )


def test_the_cpus_own_allocator_is_understood():
    with pytest.raises(RunError, match=r"^out of memory on cpu"), explained(2, CPU):
        torch.empty(10**16)
    with pytest.raises(RunError, match=r"^out of memory on cpu"), explained(2, CPU):
        np.empty(10**16)


@pytest.mark.parametrize("words", ["cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "CUDA error: out of memory"])
def test_other_libraries_words_are_known(words):
    assert is_for_want_of_memory(RuntimeError(words))


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes"), explained(2, CPU):
        raise RuntimeError("shapes do not fit")


def test_a_run_that_is_out_of_memory_says_so(settings, dataset, monkeypatch):
    def full(self, *given):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "_step", full)
    with pytest.raises(RunError, match=r"^out of memory on cpu with --batch-size 8; --batch-size 4 --acc"):
        finished(settings, dataset)

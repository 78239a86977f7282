import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fastffdi.errors import RunError
from fastffdi.loaders.process.ring import Ring, anonymous_file

SHAPE = (3, 2, 4, 5, 3)


@pytest.fixture
def cudart(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """CUDA's runtime as far as a ring knows it; `locked` holds (address, bytes)."""
    fake = SimpleNamespace(locked=[], code=0)

    def register(place: int, size: int, flags: int) -> int:
        assert flags == 1
        fake.locked.append((place, size))
        return fake.code

    fake.cudaHostRegister = register
    fake.cudaHostUnregister = lambda place: fake.locked.remove((place, 360))
    monkeypatch.setattr(torch.cuda, "cudart", lambda: fake)
    return fake


def test_what_one_writes_the_other_reads():
    with anonymous_file("test") as file:
        ours, theirs = Ring(file, SHAPE), Ring(file, SHAPE)
    ours.slots[1, :, 2] = 7
    assert theirs.slots.shape == SHAPE
    assert theirs.slots.sum() == ours.slots.sum() == 7 * 2 * 5 * 3


def test_the_file_has_no_place_in_any_folder():
    with anonymous_file("test") as file:
        ring = Ring(file, SHAPE)
        assert os.readlink(f"/proc/self/fd/{file.fileno()}") == "/memfd:test (deleted)"
        (mapped,) = (line for line in Path("/proc/self/maps").read_text().splitlines() if "test (del" in line)
        assert f"{ring.slots.data_ptr():x}" == mapped.partition("-")[0]


def test_without_anonymous_memory_it_is_a_file_that_is_already_deleted(monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    with anonymous_file("test") as file:
        assert os.fstat(file.fileno()).st_nlink == 0
        assert Ring(file, SHAPE).slots.sum() == 0


def test_slots_outlive_ring_and_file():
    with anonymous_file("test") as file:
        slot = Ring(file, SHAPE).slots[2]
    assert slot.fill_(3).sum() == 3 * 120


def test_page_locking_is_undone_once(cudart: SimpleNamespace):
    with anonymous_file("test") as file:
        ring = Ring(file, SHAPE)
    ring.close()
    ring.page_lock()
    assert cudart.locked == [(ring.slots.data_ptr(), 360)]
    ring.close()
    ring.close()
    assert cudart.locked == []


def test_a_refusal_to_page_lock_is_told_with_the_cure(cudart: SimpleNamespace):
    cudart.code = 2
    with anonymous_file("test") as file:
        ring = Ring(file, SHAPE)
    with pytest.raises(RunError, match=r"^--loader cpu: CUDA cannot page-lock 0 MiB \(CUDA error 2\); lower"):
        ring.page_lock()

import numpy as np
import pytest

from fastffdi.bench import memory
from fastffdi.bench.memory import available_gib, loader_gib, sample_sizes
from fastffdi.loaders.settings import LoaderSettings

IMAGES = (4, 10, 10, 3)  # 1200 numbers
SIZES = np.array([[10, 10], [20, 30]])  # 300 and 1800 bytes decoded


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """machine(free_kib, limit, taken): what the system tells, in files; None for those that are absent."""

    def to_loader_error(free_kib=None, limit=None, taken=None):
        monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
        monkeypatch.setattr(memory, "_LIMIT", tmp_path / "max")
        monkeypatch.setattr(memory, "_TAKEN", tmp_path / "current")
        monkeypatch.setattr(memory, "_physical_bytes", lambda: 64 * 2**30)
        if free_kib is not None:
            (tmp_path / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable:   {free_kib} kB\n")
        if limit is not None:
            (tmp_path / "max").write_text(f"{limit}\n")
            (tmp_path / "current").write_text(f"{taken}\n")

    return to_loader_error


def test_what_is_free_is_the_least_that_the_system_and_the_container_allow(machine):
    machine(free_kib=8 * 2**20)
    assert available_gib() == 8
    machine(free_kib=8 * 2**20, limit=6 * 2**30, taken=2**30)
    assert available_gib() == 5
    machine(free_kib=2**20, limit="max", taken=2**30)
    assert available_gib() == 1


def test_without_either_it_is_the_machines_memory(machine):
    machine()
    assert available_gib() == 64


def test_the_cpu_loader_holds_batches_ahead_and_a_decoded_image_for_each_thread():
    gib = loader_gib("cpu", LoaderSettings(threads=5, prefetch=2), IMAGES, 2, SIZES)
    assert gib * 2**30 == pytest.approx(3 * 1200 + 2 * 1200 * 2 + 5 * 1800)


def test_dali_holds_decoded_batches():
    gib = loader_gib("dali", LoaderSettings(threads=5, prefetch=2), IMAGES, 2, SIZES)
    assert gib * 2**30 == pytest.approx(3 * 1200 + 2 * 1200 * 2 + 3 * 4 * 1050)


def test_torchvision_holds_float_batches_for_each_worker():
    gib = loader_gib("torchvision", LoaderSettings(threads=5, prefetch=9), IMAGES, 4, SIZES)
    assert gib * 2**30 == pytest.approx(11 * 1200 * 4 + 2 * 1200 * 4 + 5 * 1800)


def test_images_of_many_megapixels_do_not_overflow():
    sizes = np.array([[30_000, 30_000]], np.int32)
    assert loader_gib("cpu", LoaderSettings(1), IMAGES, 4, sizes) == pytest.approx(2.7e9 / 2**30, rel=1e-3)


def test_sizes_are_sampled(images, monkeypatch):
    assert len(sample_sizes(images, 1)) == 23
    monkeypatch.setattr(memory, "_SAMPLE", 5)
    assert {tuple(size) for size in sample_sizes(images, 1)} < {tuple(size) for size in images.sizes}

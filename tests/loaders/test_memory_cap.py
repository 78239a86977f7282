import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from recipes import normalised, step

from fastffdi.data.manifest import Manifest
from fastffdi.loaders import factory, memory_cap
from fastffdi.loaders.memory_cap import (
    Need,
    cap_bytes,
    decoded_at_once,
    free_bytes,
    need_of,
    within_cap,
)
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import GIB, LoaderSettings

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 1)
STEPS = normalised(step("resize", size=[20, 30]))
BATCH = 4
RENDERED = BATCH * 20 * 30 * 3


def planner_of(manifest: Manifest, steps=STEPS) -> BatchPlanner:
    return BatchPlanner.over(manifest, steps, LoaderSettings(2, BATCH))


@pytest.fixture
def large(image_files: Manifest) -> BatchPlanner:
    """Images said to be 3000 × 4000, and one of 4000 × 5000."""
    sizes = np.tile(np.array([[3000, 4000]], np.int32), (len(image_files), 1))
    sizes[7] = 4000, 5000
    return planner_of(replace(image_files, sizes=sizes))


def test_the_cpu_loader_needs_an_image_a_thread_and_batches(large: BatchPlanner) -> None:
    need = need_of(large, LoaderSettings(3, BATCH))
    assert need == Need(3 * 6 * 20e6 + 2 * RENDERED, RENDERED)
    assert need.bytes(2) == 3 * 6 * 20e6 + 4 * RENDERED


def test_sizes_that_are_not_known_are_read_from_some_headers(image_files: Manifest) -> None:
    unknown, known = (planner_of(replace(image_files, sizes=sizes)) for sizes in (None, image_files.sizes))
    settings = LoaderSettings(2, BATCH)
    assert need_of(unknown, settings) == need_of(known, settings)


def test_few_headers_are_read_of_many(image_files: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr(memory_cap, "image_size", lambda path, source: (read.append(path), (50, 40))[1])
    many = image_files.take(np.arange(10_000) % 23)
    assert memory_cap._pixels(planner_of(replace(many, sizes=None))).tolist() == [2000] * 64
    assert len(read) == 64


def test_an_image_without_a_header_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no image")
    Image.new("RGB", (40, 50)).save(tmp_path / "b.jpg")
    names = np.array(["a.jpg", "b.jpg"], object)
    assert memory_cap._pixels(planner_of(Manifest(str(tmp_path), names))).tolist() == [2000]
    assert memory_cap._pixels(planner_of(Manifest(str(tmp_path), names[:1]))).tolist() == [0]


def test_cached_images_are_as_large_as_the_recipe_makes_them(large: BatchPlanner, tmp_path: Path) -> None:
    cached = large.cached(large.cache_plan(tmp_path))
    assert need_of(cached, LoaderSettings(3, BATCH)) == Need(2 * RENDERED, RENDERED)


@pytest.mark.parametrize(
    ("asked", "batches", "fitting"), [(4, 9, 4), (4, 4, 4), (4, 3.9, 3), (4, 1, 1), (4, 0.5, 0), (0, 0, 0)]
)
def test_fewer_batches_are_made_ahead_where_more_do_not_fit(
    large: BatchPlanner, asked: int, batches: float, fitting: int, caplog
) -> None:
    settings = LoaderSettings(2, BATCH, asked)
    need = need_of(large, settings)
    cap = (need.fixed + batches * need.per_batch) / GIB
    found = within_cap(large, replace(settings, memory_cap=cap))
    assert found == replace(settings, memory_cap=cap, prefetch=fitting)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * (fitting < asked)


#: What DALI keeps of an image of 20 megapixels.
LARGEST = 2 * 3 * 20e6


@pytest.mark.parametrize(
    ("images", "threads", "fitting"),
    [(99, 2, 4), (4, 2, 4), (3.9, 2, 3), (2, 2, 2), (0.1, 2, 2), (0.1, 9, 4)],
)
def test_fewer_images_are_decoded_at_once_where_more_do_not_fit(
    large: BatchPlanner, images: float, threads: int, fitting: int, caplog
) -> None:
    cap = images * LARGEST / GIB
    assert decoded_at_once(large, LoaderSettings(threads, BATCH, memory_cap=cap), CPU) == fitting
    assert len(caplog.records) == (fitting > images or fitting < BATCH)


def test_it_is_said_with_what_is_still_too_much(large: BatchPlanner, caplog) -> None:
    decoded_at_once(large, LoaderSettings(2, memory_cap=0.4), CPU)
    decoded_at_once(large, LoaderSettings(2, memory_cap=0.1), CPU)
    decoded_at_once(large, LoaderSettings(2, memory_cap=0.4), CUDA)
    within_cap(large, LoaderSettings(2, memory_cap=need_of(large, LoaderSettings(2)).bytes(1) / GIB))
    within_cap(large, LoaderSettings(2, prefetch=0, memory_cap=0.1))
    still = "; they still take about 0.2 GiB, lower --batch-size"
    assert caplog.messages == [
        "--memory-cap 0.4 (GiB): for --loader dali 3 of 4 images are decoded at once",
        f"--memory-cap 0.1 (GiB): for --loader dali 2 of 4 images are decoded at once{still}",
        "--memory-cap 0.4 (GiB): for --loader dali 3 of 4 images are decoded at once in the memory of cuda:1",
        "--memory-cap 0.2 (GiB): for --loader cpu 1 of 2 batches are made ahead",
        f"--memory-cap 0.1 (GiB): for --loader cpu 0 of 0 batches are made ahead{still}",
    ]


def test_the_cap_is_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_cap, "free_bytes", lambda device: {CPU: 6e9, CUDA: 4e9}[device])
    assert (cap_bytes(LoaderSettings()), cap_bytes(LoaderSettings(), CUDA)) == (3e9, 2e9)
    assert (
        cap_bytes(LoaderSettings(memory_cap=2.0))
        == cap_bytes(LoaderSettings(memory_cap=2.0), CUDA)
        == 2 * GIB
    )


@pytest.fixture
def free_on_gpu(monkeypatch: pytest.MonkeyPatch):
    """free_on_gpu(bytes): so much of cuda:1 is free; the host has nothing left."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=0))

    def free(count: float) -> None:
        left = {CUDA: (int(count), 80 * GIB)}
        monkeypatch.setattr(torch.cuda, "mem_get_info", left.__getitem__)

    return free


def test_the_memory_of_a_gpu_is_what_cuda_says_is_free(free_on_gpu) -> None:
    free_on_gpu(5e9)
    assert free_bytes(CUDA) == 5e9
    assert free_bytes() == free_bytes(CPU) == 0


@pytest.mark.parametrize(("images", "fitting"), [(99, 4), (4, 4), (3, 3), (0.1, 2)])
def test_on_a_gpu_its_free_memory_decides_how_many_images_are_decoded_at_once(
    large: BatchPlanner, images: float, fitting: int, free_on_gpu, caplog
) -> None:
    free_on_gpu(2 * images * LARGEST)
    assert decoded_at_once(large, LoaderSettings(2, BATCH), CUDA) == fitting
    assert len(caplog.records) == (fitting > images or fitting < BATCH)


def test_a_loader_for_a_gpu_is_given_as_many_images_as_fit_there(
    large: BatchPlanner, free_on_gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastffdi.loaders.dali import DaliLoader

    monkeypatch.setattr(DaliLoader, "_built", lambda self: None)
    free_on_gpu(2 * 3 * LARGEST)
    loader = factory.build_loader("dali", large, LoaderSettings(2, BATCH), CUDA)
    assert loader._at_once == 3


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [
        ("5000", "2000", 3000),
        ("9000", "2000", 4000),
        ("max", "2000", 4000),
        ("5000", "6000", 0),
        (None, "1", 4000),
    ],
)
def test_a_container_has_what_its_control_group_may_take(
    limit: str | None, used: str, free: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_cap, "_CGROUP", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=4000))
    if limit is not None:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    assert free_bytes() == free


def test_the_loaders_that_are_built_are_within_the_cap(large: BatchPlanner) -> None:
    need = need_of(large, LoaderSettings(2, BATCH))
    settings = LoaderSettings(2, BATCH, 3, process=False, memory_cap=need.bytes(1) / GIB)
    cpu, dali = (factory.build_loader(name, large, settings, CPU) for name in ("cpu", "dali"))
    assert (cpu._prefetch, dali._at_once) == (1, 2)
    cpu.close()
    dali.close()

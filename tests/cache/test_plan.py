import os
import shutil
from collections import namedtuple
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from recipes import NORMALIZE

from fastffdi.cache import folder as cache_folder
from fastffdi.cache import plan as cache_plan
from fastffdi.cache.plan import CachePlan, check_space, estimate, needed, prefix_of
from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import SettingError
from fastffdi.loaders.planner import BatchPlanner, cached
from fastffdi.recipe.kernels import Warp
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step
from fastffdi.render.cpu.decode import SourceDecoder

Disk = namedtuple("Disk", "total used free")
RESIZE, SHORT, CROP = STEPS["resize"]((256, 256)), STEPS["resize"](40), STEPS["center_crop"]((32, 36))
FLIP, RRC, GREY = STEPS["horizontal_flip"](), STEPS["random_resized_crop"]((32, 32)), STEPS["grayscale"]()
TURN = STEPS["random_rotation"].read({"degrees": 0})
PYTHON = STEPS["python"].read({"function": "os.path:join"})


@dataclass(frozen=True)
class Askew(Step):
    """A warp without random numbers; no step is one yet."""

    kernels = (Warp,)


def planned(image_files: Manifest, folder: Path, *steps: Step, scaled: bool = False) -> CachePlan:
    return CachePlan.of(image_files, (*steps, NORMALIZE), SourceDecoder(scaled=scaled), folder, 1)


def planner_of(image_files: Manifest, *steps: Step) -> BatchPlanner:
    return BatchPlanner(image_files, Sampler(len(image_files), 5), CounterRNG(5), (*steps, NORMALIZE), 4)


def test_a_store_is_described_for_people(image_files: Manifest, tmp_path: Path) -> None:
    description = planned(image_files, tmp_path, RESIZE, FLIP).description
    assert list(description) == ["decode", "steps", "by"]
    assert description["decode"] == {"scaled": False}
    assert description["steps"] == [RESIZE.to_data()]


@pytest.mark.parametrize(
    ("steps", "length"),
    [
        ((RESIZE, FLIP), 1),
        ((RESIZE,), 1),
        ((RRC,), 0),
        ((GREY, RESIZE, FLIP), 2),
        ((SHORT, CROP, FLIP), 2),
        ((SHORT, CROP, CROP), 3),
        ((RESIZE, CROP, GREY), 2),  # greys may be rounded differently on a device
        ((RESIZE, SHORT), 1),
        ((RESIZE, STEPS["pad"].read({"padding": 3}), FLIP), 2),
        ((TURN, RESIZE), 0),
        ((RESIZE, PYTHON), 1),
        ((RESIZE, STEPS["ten_crop"]((32, 32))), 1),
        ((SHORT, STEPS["ten_crop"]((32, 32))), 1),
        ((RESIZE, STEPS["random_apply"]((GREY,))), 1),
        ((PYTHON, RESIZE), 0),
        ((Askew(), RESIZE), 0),
    ],
)
def test_the_beginning_ends_at_the_first_step_that_is_not_the_same_everywhere(
    steps: tuple[Step, ...], length: int
) -> None:
    assert prefix_of((*steps, NORMALIZE)) == steps[:length]


@pytest.mark.parametrize("sizes", ["known", "unknown"])
def test_sizes_are_those_after_the_beginning(sizes: str, image_files: Manifest, tmp_path: Path) -> None:
    known = image_files if sizes == "known" else replace(image_files, sizes=None)
    assert (planned(known, tmp_path, RESIZE).sizes == 256).all()
    assert np.array_equal(planned(known, tmp_path, RRC).sizes, image_files.sizes)
    assert (planned(known, tmp_path, SHORT, RRC).sizes.min(axis=1) == 40).all()


def test_sizes_are_probed_with_the_threads_and_the_source(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, source = [], object()
    monkeypatch.setattr(
        Manifest, "with_sizes", lambda self, *given, **more: asked.append(given) or image_files
    )
    CachePlan.of(image_files, (RRC, NORMALIZE), SourceDecoder(source), tmp_path, 7)
    assert asked == [(7, source)]


def test_the_decoder_that_is_opened_has_what_was_planned(image_files: Manifest, tmp_path: Path) -> None:
    some = image_files.take(np.array([3, 1, 3]))
    for steps, sized in (((SHORT, CROP), True), ((RESIZE,), False)):
        plan = planned(some, tmp_path, *steps, scaled=True)
        decoder = plan.open()
        assert (decoder.decoder, decoder.store.folder) == (SourceDecoder(scaled=True), plan.folder)
        assert decoder.records.tolist() == [0, 1, 0]
        assert decoder._sizes is (some.sizes if sized else None)


def test_sizes_that_do_not_matter_are_not_probed(tmp_path: Path) -> None:
    absent = Manifest("/nowhere", np.array([f"{k}.jpg" for k in range(500_000)], object))
    plan = planned(absent, tmp_path, RESIZE, FLIP)
    (store,) = needed([plan])
    assert store.bytes == store.missing_bytes == 500_000 * (256 * 256 * 3 + 64)
    assert estimate([plan]) == "cache: 98.3 GB for 500,000 images of 256×256, 0 stored"


def test_a_name_listed_twice_counts_once(image_files: Manifest, tmp_path: Path) -> None:
    plan = planned(image_files.take(np.array([3, 1, 3, 0, 1])), tmp_path, RRC)
    assert plan.open().records.tolist() == [0, 1, 0, 2, 1]
    (store,) = needed([plan])
    assert sorted(store.sizes.tolist()) == sorted(image_files.sizes[[3, 1, 0]].tolist())


def test_the_store_is_the_same_whatever_images_are_listed(image_files: Manifest, tmp_path: Path) -> None:
    folder = planned(image_files, tmp_path, RESIZE, FLIP).folder
    assert folder.parent == tmp_path
    assert planned(image_files, tmp_path, RESIZE, RRC).folder == folder
    assert planned(replace(image_files, labels=None, sizes=None), tmp_path, RESIZE).folder == folder
    for other in (image_files.take(slice(1, None)), replace(image_files, root="/elsewhere")):
        assert planned(other, tmp_path, RESIZE).folder == folder


def test_the_store_is_another_for_anything_that_decides_pixel_values(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder(*steps: Step, scaled: bool = False) -> Path:
        return planned(image_files, tmp_path, *(steps or (RESIZE,)), scaled=scaled).folder

    found = [folder(), folder(SHORT), folder(RESIZE, CROP), folder(scaled=True)]
    monkeypatch.setattr(cache_folder, "FORMAT", "99")
    found.append(folder())
    monkeypatch.setattr(cache_plan, "_RENDERING", 99)
    found.append(folder())
    for module in (cv2, torch, cache_plan.simplejpeg, cache_plan.PIL):
        monkeypatch.setattr(module, "__version__", "99")
        found.append(folder())
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "other")
    found.append(folder())
    monkeypatch.setattr(cache_plan.platform, "machine", lambda: "other")
    found.append(folder())
    assert len({*found}) == len(found)


def test_images_are_known_by_their_paths(image_files: Manifest, tmp_path: Path) -> None:
    """Those of another folder are others, those of a link to the folder are the same."""
    paths = planned(image_files, tmp_path, RESIZE).paths
    assert len({*paths.tolist()}) == 23
    assert np.array_equal(planned(image_files.take(slice(4, 9)), tmp_path, RESIZE).paths, paths[4:9])
    (tmp_path / "link").symlink_to(image_files.root)
    linked = replace(image_files, root=str(tmp_path / "link"))
    assert np.array_equal(planned(linked, tmp_path, RESIZE).paths, paths)
    renamed = replace(image_files, names=image_files.names + "?", files=image_files.names)
    assert np.array_equal(planned(renamed, tmp_path, RESIZE).paths, paths)
    elsewhere = replace(image_files, root="/elsewhere")
    assert not {*planned(elsewhere, tmp_path, RESIZE).paths.tolist()} & {*paths.tolist()}


def full(plan: CachePlan) -> None:
    """Store all of a plan's images."""
    decoder = plan.open()
    for k in decoder.records.tolist():
        decoder.store.put(k, (1, 1), np.ones((256, 256, 3), np.uint8))


def test_the_estimate_says_what_is_there(image_files: Manifest, tmp_path: Path) -> None:
    first = planned(image_files.take(slice(0, 3)), tmp_path, RESIZE)
    plans = [planned(image_files, tmp_path, *steps) for steps in ((RESIZE,), (RRC,), (RESIZE, FLIP))]
    full(first)
    assert estimate(plans[:1]) == "cache: 4.5 MB for 23 images of 256×256, 3 stored"
    assert estimate(plans) == "cache: 5.2 MB for 46 images of various sizes, 3 stored"


def test_splits_with_images_in_common_need_them_once(image_files: Manifest, tmp_path: Path) -> None:
    parts = [planned(image_files.take(part), tmp_path, RESIZE) for part in (slice(0, 15), slice(10, 20))]
    full(planned(image_files.take(slice(0, 12)), tmp_path, RESIZE))
    (store,) = needed(parts)
    assert (len(store.sizes), store.stored) == (20, 12)
    assert store.missing_bytes == 8 * (256 * 256 * 3 + 64)


def free(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(0, 0, count))


def test_a_disk_without_room_is_refused(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(image_files, tmp_path, RESIZE, FLIP)
    room = 23 * (256 * 256 * 3 + 64)
    free(monkeypatch, room)
    check_space([plan, plan])
    free(monkeypatch, room - 1)
    line = (
        f"^--cache {tmp_path}: needs 4.5 MB for 23 images of 256×256, 4.5 MB are free; name a folder on "
        "another disk, or leave out --cache$"
    )
    with pytest.raises(SettingError, match=line):
        cached([planner_of(image_files, RESIZE, FLIP)], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_says_what_other_stores_take(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(planned(image_files, tmp_path, RESIZE))
    os.sync()
    free(monkeypatch, 0)
    line = rf"are free, 4.5 MB in other stores \(fastffdi cache --cache {tmp_path} --list names them\); name"
    with pytest.raises(SettingError, match=line):
        check_space([planned(image_files, tmp_path, RESIZE, CROP)])


def test_what_is_there_needs_no_room(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(image_files, tmp_path, RESIZE, FLIP)
    full(plan)
    free(monkeypatch, 0)
    check_space([plan])


def test_the_reserve_is_not_for_images(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(image_files, tmp_path, RESIZE, FLIP)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(450_000_000, 0, 9_000_000))
    with pytest.raises(SettingError, match=r"needs 4.5 MB .* 0.0 MB are free"):
        check_space([plan])
    assert cache_folder.free_bytes(tmp_path) < 0


def test_the_estimate_is_said_first(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    free(monkeypatch, 0)
    with pytest.raises(SettingError):
        cached([planner_of(image_files, RESIZE)], tmp_path, said.append)
    assert said == ["cache: 4.5 MB for 23 images of 256×256, 0 stored"]


def test_decoding_that_depends_on_random_numbers_is_refused(image_files: Manifest, tmp_path: Path) -> None:
    planned(image_files, tmp_path, RRC)
    planned(image_files, tmp_path, RESIZE, scaled=True)
    with pytest.raises(SettingError, match="the recipe begins with random_resized_crop, and with decode: "):
        planned(image_files, tmp_path, RRC, scaled=True)


def test_a_system_that_cannot_write_from_many_threads_is_refused(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(cache_plan.os, "pwrite")
    with pytest.raises(SettingError, match=r"^--cache: not on this system"):
        planned(image_files, tmp_path, RESIZE)

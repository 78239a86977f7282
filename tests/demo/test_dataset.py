"""The demo set: its layout, its pairs, and that nothing but the pixel values gives a forgery away."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from fastffdi.demo.dataset import demo_folder, write_demo
from fastffdi.errors import DataError

TRAIN, VAL = 80, 40


@dataclass(frozen=True)
class DemoImage:
    name: str
    target: int
    size: tuple[int, int]
    quality: tuple[int, ...]
    file_bytes: int


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "new"
    write_demo(folder, TRAIN, VAL)
    return folder


@pytest.fixture(scope="module")
def images(folder: Path) -> dict[str, list[DemoImage]]:
    return {split: _read(folder, split) for split in ("train", "val")}


def test_every_label_has_its_image_and_every_image_its_label(folder, images):
    for split, count in (("train", TRAIN), ("val", VAL)):
        names = [one.name for one in images[split]]
        assert len(names) == count
        assert sorted(names) == sorted(os.listdir(folder / f"{split}set"))
        assert all(len(Path(name).stem) == 32 and int(Path(name).stem, 16) >= 0 for name in names)
        assert {Path(name).suffix for name in names} == {".jpg"}


def test_label_files_start_with_the_challenge_s_header(folder):
    assert (folder / "trainset_label.txt").read_text().startswith("img_name,target\n")
    assert (folder / "valset_label.txt").read_text().startswith("img_name,target\n")
    assert sorted(os.listdir(folder)) == ["trainset", "trainset_label.txt", "valset", "valset_label.txt"]


def test_half_of_each_split_is_fake(images):
    assert sum(one.target for one in images["train"]) == TRAIN // 2
    assert sum(one.target for one in images["val"]) == VAL // 2


def test_each_real_image_has_a_fake_of_its_size_and_quality_in_its_own_split(images):
    for split in images.values():
        real, fake = (Counter((p.size, p.quality) for p in split if p.target == t) for t in (0, 1))
        assert real == fake


def test_sizes_vary_between_200_and_700_px(images):
    sides = np.array([one.size for split in images.values() for one in split])
    assert sides.min() >= 200
    assert sides.max() <= 700
    assert len(np.unique(sides, axis=0)) > 50


def test_rows_are_shuffled_so_that_pairs_do_not_stand_together(images):
    sizes = [one.size for one in images["train"]]
    assert sum(a == b for a, b in pairwise(sizes)) < 5


@pytest.mark.parametrize(
    "clue",
    [
        lambda p: p.file_bytes,
        lambda p: p.size[0],
        lambda p: p.size[1],
        lambda p: p.size[0] * p.size[1],
        lambda p: p.size[0] / p.size[1],
        lambda p: sum(p.quality),
        lambda p: p.file_bytes / (p.size[0] * p.size[1]),
    ],
    ids=["file size", "width", "height", "image size", "aspect", "JPEG quality", "bytes per pixel"],
)
def test_no_property_of_the_file_tells_fakes_from_reals(images, clue):
    everything = [one for split in images.values() for one in split]
    auc = roc_auc_score([one.target for one in everything], [clue(one) for one in everything])
    assert max(auc, 1 - auc) < 0.6


def test_the_same_seed_gives_the_same_bytes_and_another_seed_none_of_them(tmp_path):
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        write_demo(tmp_path / name, 6, 2, seed=seed)
    one, two, other = (_contents(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one.keys() & other.keys() == {"trainset_label.txt", "valset_label.txt"}


def test_a_larger_set_begins_with_the_pairs_of_a_smaller_one(tmp_path):
    write_demo(tmp_path / "small", 2, 2)
    write_demo(tmp_path / "large", 6, 2)
    assert set(os.listdir(tmp_path / "small" / "trainset")) < set(os.listdir(tmp_path / "large" / "trainset"))


def test_progress_counts_images_up_to_all_of_them(tmp_path):
    seen: list[tuple[int, int]] = []
    write_demo(tmp_path / "new", 4, 2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 6), (4, 6), (6, 6)]


def test_a_folder_with_files_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"already holds files; give a new or an empty folder"):
        write_demo(tmp_path, 2, 2)
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "demo").write_text("")
    with pytest.raises(DataError, match="is a file"):
        write_demo(tmp_path / "demo", 2, 2)


@pytest.mark.parametrize(("train", "val"), [(3, 2), (2, 0), (-2, 2)])
def test_numbers_that_are_not_pairs_are_refused_before_anything_is_made(tmp_path, train, val):
    with pytest.raises(DataError, match="give an even number from 2 up"):
        write_demo(tmp_path / "new", train, val)
    assert not (tmp_path / "new").exists()


def test_a_set_broken_off_half_way_has_no_label_file(tmp_path):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_demo(tmp_path / "new", 4, 2, progress=stop)
    assert sorted(os.listdir(tmp_path / "new")) == ["trainset", "valset"]


@pytest.fixture
def small_builtin(tmp_path, monkeypatch) -> list[Path]:
    """A cache of its own and a tiny built-in set; the list names every folder that was written."""
    written: list[Path] = []

    def write(folder, progress=None):
        written.append(folder)
        write_demo(folder, 2, 2, progress=progress)

    monkeypatch.setenv("FASTFFDI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("fastffdi.demo.dataset.write_demo", write)
    return written


def test_the_built_in_set_is_made_once_in_the_cache_folder(small_builtin, tmp_path):
    first, second = demo_folder(), demo_folder()
    assert first == second == tmp_path / "cache" / "demo-v2"
    assert len(small_builtin) == 1
    assert os.listdir(tmp_path / "cache") == ["demo-v2"]


def test_of_two_processes_that_make_it_the_second_uses_the_first_s(small_builtin, tmp_path, monkeypatch):
    def write_and_be_overtaken(folder, progress=None):
        write_demo(folder, 2, 2)
        write_demo(tmp_path / "cache" / "demo-v2", 4, 2)

    monkeypatch.setattr("fastffdi.demo.dataset.write_demo", write_and_be_overtaken)
    assert len(os.listdir(demo_folder() / "trainset")) == 4
    assert os.listdir(tmp_path / "cache") == ["demo-v2"]


def test_something_else_in_its_place_is_named_and_kept(small_builtin, tmp_path):
    (tmp_path / "cache" / "demo-v2").mkdir(parents=True)
    (tmp_path / "cache" / "demo-v2" / "mine.txt").write_text("")
    with pytest.raises(DataError, match="is not a whole demo set; delete it"):
        demo_folder()
    assert os.listdir(tmp_path / "cache") == ["demo-v2"]


def test_a_cache_that_cannot_be_written_is_answered_with_the_setting_to_change(small_builtin, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="set FASTFFDI_CACHE to a folder you can write to"):
        demo_folder()


def _read(folder: Path, split: str) -> list[DemoImage]:
    rows = (folder / f"{split}set_label.txt").read_text().splitlines()[1:]
    return [_image(folder / f"{split}set", *row.split(",")) for row in rows]


def _image(folder: Path, name: str, target: str) -> DemoImage:
    with Image.open(folder / name) as opened:
        quality = tuple(q for table in opened.quantization.values() for q in table)
        return DemoImage(name, int(target), opened.size, quality, (folder / name).stat().st_size)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

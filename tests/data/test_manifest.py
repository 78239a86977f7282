from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fastffdi.data import sizes
from fastffdi.data.manifest import LABELS, Manifest
from fastffdi.data.source import FileSource


def manifest(labels: list[int] | None, count: int | None = None) -> Manifest:
    count = len(labels or []) if count is None else count
    names = np.array([f"{row}.jpg" for row in range(count)], object)
    return Manifest("/images", names, None if labels is None else np.array(labels, np.int64))


def test_paths_join_root_and_name_for_the_rows_asked():
    rows = Manifest("/images", np.array(["a.jpg", "sub/b.jpg", "/else/c.jpg"], object))
    assert rows.paths(np.array([1, 0])) == ["/images/sub/b.jpg", "/images/a.jpg"]
    assert rows.paths() == ["/images/a.jpg", "/images/sub/b.jpg", "/else/c.jpg"]


def test_take_keeps_the_order_asked_and_every_column():
    known = np.array([[1, 2], [3, 4], [5, 6]], np.int32)
    names = np.array(["a", "b", "c"], object)
    rows = Manifest("/p", names, np.array([0, 1, 1]), known, names + ".jpg").take(np.array([2, 0]))
    assert rows.root == "/p"
    assert rows.names.tolist() == ["c", "a"]
    assert rows.labels is not None
    assert rows.labels.tolist() == [1, 0]
    assert rows.sizes is not None
    assert rows.sizes.tolist() == [[5, 6], [1, 2]]
    assert rows.file_names.tolist() == ["c.jpg", "a.jpg"]
    assert rows.paths() == ["/p/c.jpg", "/p/a.jpg"]


def test_class_counts_name_both_classes_even_when_one_is_absent():
    assert manifest([1, 1, 1]).class_counts() == {0: 0, 1: 3}
    assert manifest([0, 0]).class_counts() == {0: 2, 1: 0}
    assert manifest([0, 1, 1]).class_counts() == {0: 1, 1: 2}
    assert LABELS == ("real", "fake")
    assert manifest(None, 3).class_counts() == {}


def test_limit_keeps_class_shares():
    assert manifest([0] * 190 + [1] * 810).limit(100, seed=3).class_counts() == {0: 19, 1: 81}


def test_limit_keeps_a_rare_class():
    assert manifest([0] + [1] * 999).limit(10, seed=0).class_counts() == {0: 1, 1: 10}


def test_limit_beyond_the_rows_is_everything():
    rows = manifest([0, 1, 0])
    assert rows.limit(3, seed=0) is rows
    assert rows.limit(100, seed=0) is rows


def test_limit_without_labels_draws_plainly():
    rows = manifest(None, 50).limit(7, seed=0)
    assert len(rows) == 7
    assert rows.labels is None


def test_limit_depends_on_the_seed():
    rows = manifest([0, 1] * 100)
    assert rows.limit(20, seed=0).names.tolist() != rows.limit(20, seed=1).names.tolist()


@given(st.lists(st.integers(0, 1), min_size=1, max_size=60), st.integers(1, 70), st.integers(0, 5))
def test_limit_is_ordered_repeatable_nested_and_about_n(labels: list[int], n: int, seed: int):
    rows = manifest(labels)
    drawn = rows.limit(n, seed).names.tolist()
    numbers = [int(name.removesuffix(".jpg")) for name in drawn]
    assert numbers == sorted(set(numbers))
    assert drawn == rows.limit(n, seed).names.tolist()
    assert set(drawn) <= set(rows.limit(n + 1, seed).names)
    assert abs(len(drawn) - min(n, len(labels))) <= 1
    assert {labels[number] for number in numbers} == set(labels)


def test_with_sizes_probes_once(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTFFDI_CACHE", str(tmp_path / "cache"))
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg")
    rows = Manifest(str(tmp_path), np.array(["a.jpg"], object)).with_sizes(threads=1)
    os.remove(tmp_path / "a.jpg")
    assert rows.sizes is not None
    assert rows.sizes.dtype == np.int32
    assert rows.sizes.tolist() == [[20, 30]]
    assert rows.with_sizes(threads=1) is rows


class Together(FileSource):
    """Images called .jpg that are bmp, each opened only when another one is too."""

    def __init__(self, count: int) -> None:
        self.barrier = threading.Barrier(count, timeout=30)

    def open(self, path: str):
        self.barrier.wait()
        return super().open(path.replace(".jpg", ".bmp"))

    def identity(self, path: str):
        return super().identity(path.replace(".jpg", ".bmp"))


def test_sizes_are_probed_by_so_many_threads_and_from_the_source(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTFFDI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sizes, "_CHUNK", 1)
    for k in range(3):
        Image.new("RGB", (30 + k, 20)).save(tmp_path / f"{k}.bmp")
    rows = Manifest(str(tmp_path), np.array(["0.jpg", "1.jpg", "2.jpg"], object))
    assert rows.with_sizes(3, Together(3)).sizes.tolist() == [[20, 30], [20, 31], [20, 32]]


def test_the_sizes_of_a_root_are_kept_in_one_file_whatever_the_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTFFDI_CACHE", str(tmp_path / "cache"))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (30, 20)).save(tmp_path / name / "x.jpg")
        Manifest(str(tmp_path), np.array([f"{name}/x.jpg"], object)).with_sizes(threads=1)
    assert len(list((tmp_path / "cache" / "sizes").iterdir())) == 1


def test_a_manifest_cannot_be_changed():
    with pytest.raises(AttributeError):
        manifest([0]).root = "/else"  # type: ignore[misc]

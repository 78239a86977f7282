import itertools
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from recipes import normalised

from fastffdi.bench import ceilings
from fastffdi.bench.loader import Settings
from fastffdi.data.layout import plain_folder
from fastffdi.data.manifest import Manifest
from fastffdi.errors import UndecodableImage
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps import STEPS

CPU = torch.device("cpu")
SETTINGS = Settings(CPU, torch.bfloat16, LoaderSettings(2, 6), seconds=0.2)
TINY = normalised(STEPS["resize"]((16, 16)))


@pytest.fixture
def mixed(tmp_path: Path) -> Manifest:
    """Three JPEGs, of which one is cut off, and a PNG; all with sizes in their headers."""
    for k, name in enumerate(("a.jpg", "b.jpg", "cut.jpg", "c.png")):
        Image.effect_noise((40 + 10 * k, 30), 60).convert("RGB").save(tmp_path / name)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-200])
    return plain_folder(tmp_path)


def first_numbers(image_files: Manifest, name: str, count: int) -> list[int]:
    """The first numbers of images that a ceiling gives."""
    drawn = ceilings.sample(image_files, 2, 0)
    (stream,) = [s for s in ceilings.ceilings(drawn, image_files, TINY, SETTINGS) if s.name == name]
    with stream.open() as arrivals:
        return list(itertools.islice(arrivals, count))


def test_the_sample_is_decoded_from_memory_where_the_bare_call_can(mixed: Manifest):
    drawn = ceilings.sample(mixed, 2, 0)
    assert len(drawn.jpegs) == 2
    assert drawn.sentence() == ("2 JPEGs in memory (2 files of other kinds, or refused by it, left out)")
    assert drawn.median_size == (30, 60)


def test_the_sample_is_limited_in_images_and_bytes(image_files: Manifest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ceilings, "_MOST_IMAGES", 5)
    drawn = ceilings.sample(image_files, 2, 3)
    assert drawn.sentence() == "5 JPEGs in memory"
    assert drawn.manifest.names.tolist() == ceilings.sample(image_files, 1, 3).manifest.names.tolist()
    monkeypatch.setattr(ceilings, "_MOST_BYTES", 1)
    assert len(ceilings.sample(image_files, 2, 3).jpegs) == 1


def test_a_file_that_is_no_image_is_named(tmp_path: Path):
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    with pytest.raises(UndecodableImage, match=r"bad\.jpg"):
        ceilings.sample(plain_folder(tmp_path), 1, 0)


def test_files_are_read_in_spans_again_and_again(image_files: Manifest):
    assert first_numbers(image_files, "file read", 5) == [8, 8, 7, 8, 8]


def test_jpegs_are_decoded_in_spans_again_and_again(image_files: Manifest):
    assert first_numbers(image_files, "JPEG decode", 5) == [8, 8, 7, 8, 8]


def test_a_batch_is_copied_in_a_part_for_each_thread(image_files: Manifest):
    assert first_numbers(image_files, "memory copy", 4) == [3, 3, 3, 3]
    assert [list(part) for part in itertools.islice(ceilings._spans(range(5), 3), 3)] == [
        [0, 1, 2],
        [3, 4],
        [0, 1, 2],
    ]


def test_the_copy_of_a_range_is_a_copy(monkeypatch: pytest.MonkeyPatch):
    made = []
    zeros_like = np.zeros_like
    monkeypatch.setattr(ceilings.np, "zeros_like", lambda array: made.append(zeros_like(array)) or made[0])
    batch = torch.arange(8, dtype=torch.bfloat16).view(4, 2)
    assert ceilings._copier(batch)(range(1, 3)) == 2
    assert torch.from_numpy(made[0]).view(torch.bfloat16).tolist() == [[0, 0], [2, 3], [4, 5], [0, 0]]


def test_a_transfer_gives_the_number_of_images_copied():
    batch = torch.arange(12, dtype=torch.uint8)
    with closing(ceilings.transfers(batch, 3, CPU)) as arrivals:
        assert list(itertools.islice(arrivals, 3)) == [3, 3, 3]


def test_the_decoder_alone_is_that_of_the_dali_loader(image_files: Manifest):
    with closing(ceilings.decoded(image_files, replace(SETTINGS, loading=LoaderSettings(1, 6)))) as arrivals:
        assert list(itertools.islice(arrivals, 2)) == [6, 6]


def test_ceilings_have_shorter_turns_and_end_with_whole_bursts(image_files: Manifest):
    streams = ceilings.ceilings(ceilings.sample(image_files, 2, 0), image_files, TINY, SETTINGS)
    assert [stream.name for stream in streams] == ["file read", "JPEG decode", "memory copy"]
    assert {(s.seconds, s.group, s.ceiling, s.problem) for s in streams} == {(0.05, 2, True, None)}


def test_on_cuda_decoder_and_transfer_are_among_them():
    assert ceilings.names(torch.device("cuda"))[3:] == ("GPU decoder", "host to device")


def test_without_jpegs_there_is_no_ceiling_of_decoding(tmp_path: Path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    manifest = plain_folder(tmp_path)
    streams = ceilings.ceilings(ceilings.sample(manifest, 1, 0), manifest, TINY, SETTINGS)
    assert [stream.problem for stream in streams] == [None, "there are no JPEGs", None]


def test_views_of_an_image_count_as_one():
    ten = (STEPS["resize"]((20, 20)), STEPS["ten_crop"]((16, 16)), TINY[1])
    assert ceilings._batch_shape(ten, 6) == (60, 16, 16, 3)

"""Files that change, or are gone, after their images were stored: nothing stale is served."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cached_planners import ANY_SIZE, CROP, FLIP, PLAIN, SIZED, images, planner_of, through
from PIL import Image
from recipes import NORMALIZE

from fastffdi.data.manifest import Manifest
from fastffdi.data.source import FileSource
from fastffdi.errors import UndecodableImage
from fastffdi.recipe.steps.base import Step

pytestmark = pytest.mark.usefixtures("one_thread")


def overwrite(manifest: Manifest, row: int, image: np.ndarray) -> None:
    path = Path(manifest.paths()[row])
    Image.fromarray(image).save(path, quality=92)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1000))  # clocks may be coarse


@pytest.mark.parametrize("steps", [PLAIN, ANY_SIZE, SIZED])
def test_a_changed_file_is_opened_again(
    steps: tuple[Step, ...], copy: Manifest, tmp_path: Path, unopened: Callable[[], None]
) -> None:
    kept = through(planner_of(copy, steps), tmp_path / "cache")
    before = images(kept)
    overwrite(copy, 7, np.full((*copy.sizes[7], 3), 99, np.uint8))
    plain = images(planner_of(copy, steps))
    assert [row for row in plain if plain[row] != before[row]] == [7]
    assert images(kept) == plain
    unopened()
    assert images(kept) == plain


def test_a_file_changed_in_time_only_is_opened_again(copy: Manifest, tmp_path: Path) -> None:
    kept = through(planner_of(copy, PLAIN), tmp_path / "cache")
    before = images(kept)
    os.utime(copy.paths()[4], ns=(1, 1))
    identity = (os.stat(copy.paths()[4]).st_size, 1)
    assert not kept.decoder.store.has(4, identity)
    assert images(kept) == before
    assert kept.decoder.store.has(4, identity)


def test_a_file_that_has_outgrown_its_place_is_stored_in_another(
    copy: Manifest, tmp_path: Path, unopened: Callable[[], None]
) -> None:
    images(through(planner_of(copy, ANY_SIZE), tmp_path / "cache"))
    sizes = copy.sizes.copy()
    sizes[7] = 300, 400
    overwrite(copy, 7, np.full((300, 400, 3), 99, np.uint8))
    planner = planner_of(replace(copy, sizes=sizes), ANY_SIZE)
    plain = images(planner)
    assert images(through(planner, tmp_path / "cache")) == plain
    unopened()
    assert images(through(planner, tmp_path / "cache")) == plain


def test_a_file_that_changes_its_size_while_training_is_not_stored(copy: Manifest, tmp_path: Path) -> None:
    planner = planner_of(copy, (CROP, FLIP, NORMALIZE))
    kept = through(planner, tmp_path / "cache")
    overwrite(copy, 7, np.random.default_rng(0).integers(0, 256, (90, 91, 3), dtype=np.uint8))
    assert images(kept) == images(planner)
    assert kept.decoder.store.stored == len(copy) - 1


def test_a_file_that_changes_while_it_is_read_is_not_stored(
    copy: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = FileSource.read

    def changing(self, path):
        data = read(self, path)
        if path == copy.paths()[7]:
            os.utime(path, ns=(1, 1))
        return data

    monkeypatch.setattr(FileSource, "read", changing)
    kept = through(planner_of(copy, PLAIN), tmp_path / "cache")
    images(kept)
    assert kept.decoder.store.stored == len(copy) - 1


def test_a_image_that_is_gone_stops_the_epoch_by_its_name(copy: Manifest, tmp_path: Path) -> None:
    kept = through(planner_of(copy, PLAIN), tmp_path / "cache")
    images(kept)
    Path(copy.paths()[9]).unlink()
    with pytest.raises(UndecodableImage, match=r"09.jpg: cannot be decoded \(No such file or directory\)"):
        images(kept)
